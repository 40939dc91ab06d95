# syntax=docker/dockerfile:1
# Millstream as an image: the one binary, the certificates of the web, nobody's shell.
#
#   docker build -t millstream .
#   docker run --rm -v "$PWD/pipeline.toml:/pipeline.toml:ro" millstream run /pipeline.toml
#
# Nothing is fetched but compilers of Debian's and crates, as Cargo.lock names them. The caches of crates and of the target folder stay on the
# building machine, so that a change of our own code compiles our own code only.

FROM rust:1.95-slim-bookworm AS build
# What librdkafka and the OpenSSL in it are built with.
RUN apt-get update && apt-get install -y --no-install-recommends g++ make perl && rm -rf /var/lib/apt/lists/*
WORKDIR /millstream
COPY Cargo.toml Cargo.lock ./
COPY operators operators
COPY src src
COPY benches benches
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/millstream/target \
    CARGO_PROFILE_RELEASE_DEBUG=none CARGO_PROFILE_RELEASE_STRIP=debuginfo \
    cargo build --release --locked --bin millstream && \
    cp target/release/millstream /usr/local/bin/millstream

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /usr/local/bin/millstream /usr/local/bin/millstream
USER nonroot
WORKDIR /home/nonroot
ENTRYPOINT ["/usr/local/bin/millstream"]
CMD ["--help"]
