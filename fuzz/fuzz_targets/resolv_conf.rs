#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ferrevent_models::resolv_conf::run(data));
