/* What takes a variable number of arguments: Rust can receive none. */
#include <stdarg.h>
#include <stddef.h>

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
