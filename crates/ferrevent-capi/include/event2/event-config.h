/* What the system has, in the names that programs ask by. */
#ifndef EVENT2_EVENT_CONFIG_H_INCLUDED_
#define EVENT2_EVENT_CONFIG_H_INCLUDED_

/* The release of libevent whose interface this is. */
#define EVENT__VERSION "2.1.12-stable"
#define EVENT__PACKAGE_VERSION "2.1.12-stable"
#define EVENT__NUMERIC_VERSION 0x02010c00
#define EVENT__PACKAGE "libevent"

/* The library that implements it. */
#define EVENT__FERREVENT 1

#define EVENT__HAVE_ERRNO_H 1
#define EVENT__HAVE_GETADDRINFO 1
#define EVENT__HAVE_GETTIMEOFDAY 1
#define EVENT__HAVE_INTTYPES_H 1
#define EVENT__HAVE_STDDEF_H 1
#define EVENT__HAVE_STDINT_H 1
#define EVENT__HAVE_STRUCT_ADDRINFO 1
#define EVENT__HAVE_STRUCT_IN6_ADDR 1
#define EVENT__HAVE_SYS_TIME_H 1
#define EVENT__HAVE_SYS_TYPES_H 1
#define EVENT__HAVE_UINT16_T 1
#define EVENT__HAVE_UINT32_T 1
#define EVENT__HAVE_UINT64_T 1
#define EVENT__HAVE_UINT8_T 1
#define EVENT__HAVE_UINTPTR_T 1
#define EVENT__HAVE_UNISTD_H 1
#define EVENT__SIZEOF_INT 4
#define EVENT__SIZEOF_LONG_LONG 8
#define EVENT__SIZEOF_SHORT 2
#define EVENT__SIZEOF_SIZE_T 8
#define EVENT__SIZEOF_VOID_P 8

#ifdef _WIN32
#define EVENT__SIZEOF_LONG 4
#define EVENT__SIZEOF_OFF_T 4
#else
#define EVENT__HAVE_EPOLL 1
#define EVENT__HAVE_POLL 1
#define EVENT__HAVE_FCNTL 1
#define EVENT__HAVE_NETDB_H 1
#define EVENT__HAVE_PTHREADS 1
#define EVENT__HAVE_SYS_QUEUE_H 1
#define EVENT__HAVE_SYS_SOCKET_H 1
#define EVENT__HAVE_SYS_UIO_H 1
#define EVENT__SIZEOF_LONG 8
#define EVENT__SIZEOF_OFF_T 8
#define EVENT__SIZEOF_PTHREAD_T 8
#endif

#endif
