/* What takes a variable number of arguments: Rust can receive none. */
#define __USE_MINGW_ANSI_STDIO 1 /* as C99 has it, on Windows too */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

int ferrevent_vsnprintf(char *to, size_t room, const char *format, va_list arguments)
{
	return vsnprintf(to, room, format, arguments);
}

int evutil_vsnprintf(char *to, size_t room, const char *format, va_list arguments);

int ferrevent_snprintf(char *to, size_t room, const char *format, ...)
{
	va_list arguments;
	int length;
	va_start(arguments, format);
	length = evutil_vsnprintf(to, room, format, arguments);
	va_end(arguments);
	return length;
}

struct evbuffer;
int evbuffer_add(struct evbuffer *buffer, const void *data, size_t length);

int ferrevent_add_vprintf(struct evbuffer *buffer, const char *format, va_list arguments)
{
	char small[256];
	char *text = small;
	va_list again;
	int length;
	va_copy(again, arguments);
	length = vsnprintf(small, sizeof small, format, arguments);
	if (length >= (int)sizeof small) {
		text = malloc((size_t)length + 1);
		if (text)
			vsnprintf(text, (size_t)length + 1, format, again);
		else
			length = -1;
	}
	va_end(again);
	if (length >= 0 && evbuffer_add(buffer, text, (size_t)length) < 0)
		length = -1;
	if (text != small)
		free(text);
	return length;
}

int ferrevent_add_printf(struct evbuffer *buffer, const char *format, ...)
{
	va_list arguments;
	int length;
	va_start(arguments, format);
	length = ferrevent_add_vprintf(buffer, format, arguments);
	va_end(arguments);
	return length;
}
