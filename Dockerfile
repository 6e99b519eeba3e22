# corelane in a container: one static binary, nothing else, no shell, no root.
#
#   docker build -t corelane .
#   docker run --rm -p 7007:7007 -p 7008:7008 --read-only corelane
#
# `./ci-ports image` builds it without an engine. deploy/README.md says how to permit io_uring.

# RUST is any image with this release of Rust and a C linker.
ARG RUST=rust:1.95-slim
FROM ${RUST} AS build
WORKDIR /src
# Where `./ci-ports image` mounts the crates.
ENV CARGO_HOME=/cargo
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY config config
# The binary has the description of the admin API.
COPY docs/openapi.json docs/openapi.json
COPY bench bench
COPY sim sim
COPY top top
# Static by the C library's own archive: the image needs no loader and no libraries.
ENV RUSTFLAGS="-C target-feature=+crt-static"
ARG PROFILE=release
# --offline, where the crates are mounted.
ARG CARGO_OPTIONS=
RUN cargo build ${CARGO_OPTIONS} --locked --profile ${PROFILE} -p corelane --bin corelane \
        --target "$(rustc -vV | sed -n 's/^host: //p')" --target-dir /target \
    && cp /target/*-linux-gnu/*/corelane /corelane

FROM scratch
COPY --from=build /corelane /corelane
COPY deploy/container.toml /corelane.toml
# A number: there is no /etc/passwd here to look a name up in.
USER 65532:65532
EXPOSE 7007 7008
# Asks the kernel for the listeners of that file, and opens no connection.
HEALTHCHECK --interval=10s --timeout=3s CMD ["/corelane", "probe", "--config", "/corelane.toml"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/corelane"]
CMD ["run", "--config", "/corelane.toml"]
