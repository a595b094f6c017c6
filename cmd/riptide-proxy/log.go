package main

import (
	"io"
	"log/slog"
	"os"

	"riptide-proxy/config"
)

// logAs has everything logged on standard error from now on as c says. It may be called again at any
// time, for a new configuration.
func logAs(c config.Log) { slog.SetDefault(slog.New(logHandler(os.Stderr, c))) }

func logHandler(w io.Writer, c config.Log) slog.Handler {
	o := &slog.HandlerOptions{Level: c.Level.Slog()}
	if c.Format == config.LogJSON {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}
