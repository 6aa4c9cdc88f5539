#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ferrevent_models::dns_server::run(data));
