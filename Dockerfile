# A static binary and nothing else: no shell, no package manager, not root.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /riptide-proxy ./cmd/riptide-proxy

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /riptide-proxy /riptide-proxy
USER 65532:65532
EXPOSE 6380 9380
# The configuration is to be mounted; it must listen on 0.0.0.0 to be reached.
ENTRYPOINT ["/riptide-proxy"]
CMD ["serve", "--config", "/etc/riptide/riptide.yaml"]
