/* uv_async_send on one handle from another thread, as fast as it goes; what counts is the callbacks
 * that ran. Prints: wakes <TAB> callbacks <TAB> CPU ns of the loop's thread <TAB> seconds */
#include "wakes.h"
#include <uv.h>

static uv_async_t async;

static void ran(uv_async_t *handle) {
    if (count_callback()) uv_stop(handle->loop);
}

static void wake_once(void) { uv_async_send(&async); }

static void loop(void) { uv_run(uv_default_loop(), UV_RUN_DEFAULT); }

int main(void) {
    if (uv_async_init(uv_default_loop(), &async, ran) < 0) return 2;
    flood(loop, wake_once);
    return 0;
}
