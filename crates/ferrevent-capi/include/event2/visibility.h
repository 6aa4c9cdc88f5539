/* How functions of the library are declared. */
#ifndef EVENT2_VISIBILITY_H_INCLUDED_
#define EVENT2_VISIBILITY_H_INCLUDED_

#define EVENT2_EXPORT_SYMBOL
#define EVENT2_CORE_EXPORT_SYMBOL

/* Formats are those of C99, on Windows too. */
#if defined(__GNUC__) && defined(_WIN32)
#define EVENT2_PRINTF_(text, first) __attribute__((__format__(__gnu_printf__, text, first)))
#elif defined(__GNUC__)
#define EVENT2_PRINTF_(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define EVENT2_PRINTF_(text, first)
#endif

#endif
