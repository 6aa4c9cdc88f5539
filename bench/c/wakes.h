/* The frame of a wake flood: thread `loop` on core 0, thread `waker` on core 1, 0.3 s to warm up,
 * then one second that counts. */
#ifndef FERREVENT_BENCH_WAKES_H
#define FERREVENT_BENCH_WAKES_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

static atomic_int flood_ended;
static uint64_t callbacks, begun, ends, cpu_before;

static inline uint64_t ns_of(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* True when the loop shall stop. The clock is read once in 64 callbacks. */
static inline int count_callback(void) {
    if (++callbacks % 64) return 0;
    uint64_t now = ns_of(CLOCK_MONOTONIC);
    if (now < ends) return 0;
    if (!begun) {
        callbacks = 0;
        cpu_before = ns_of(CLOCK_THREAD_CPUTIME_ID);
        begun = ns_of(CLOCK_MONOTONIC);
        ends = begun + 1000000000u;
        return 0;
    }
    printf("wakes\t%llu\t%llu\t%.6f\n", (unsigned long long)callbacks,
           (unsigned long long)(ns_of(CLOCK_THREAD_CPUTIME_ID) - cpu_before), (double)(now - begun) / 1e9);
    return 1;
}

static inline void settle(const char *name, int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    pthread_setname_np(pthread_self(), name);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set); /* on one core: stays where it is */
}

static void *wake_for_ever(void *once) {
    void (*wake_once)(void) = (void (*)(void))once;
    settle("waker", 1);
    while (!atomic_load_explicit(&flood_ended, memory_order_relaxed)) wake_once();
    return NULL;
}

static inline void flood(void (*loop)(void), void (*wake_once)(void)) {
    pthread_t waker;
    ends = ns_of(CLOCK_MONOTONIC) + 300000000u;
    pthread_create(&waker, NULL, wake_for_ever, (void *)wake_once);
    settle("loop", 0);
    loop();
    atomic_store(&flood_ended, 1);
    pthread_join(waker, NULL);
}

#endif
