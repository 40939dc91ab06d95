//! The OpenSSL that librdkafka brings.
//!
//! Owns one thing: that OpenSSL does not take itself down when the process ends. It would do so under librdkafka's threads,
//! which are still at work then, and what was to be an exit code would be a crash.

/// Has to be called before a client is made: whoever is first to use OpenSSL settles this.
pub(super) fn stays_up() {
    // It asks for no clearing up at the end (OPENSSL_INIT_NO_ATEXIT).
    openssl_sys::init();
}
