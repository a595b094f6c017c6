package config

import "log/slog"

// Log is what the proxy tells of itself, on its standard error output. Both keys can be changed while it runs.
type Log struct {
	// Level is the least severe of what is logged: debug, info, warn or error. Default info.
	Level LogLevel `yaml:"level"`

	// Format is text, a line of key=value pairs for each event, or json. Default text.
	Format LogFormat `yaml:"format"`
}

// LogLevel is how severe something is.
type LogLevel string

const (
	LogDebug LogLevel = "debug"
	LogInfo  LogLevel = "info"
	LogWarn  LogLevel = "warn"
	LogError LogLevel = "error"
)

// LogFormat is how events are written.
type LogFormat string

const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

func (l *LogLevel) UnmarshalText(text []byte) error {
	return choose(l, text, LogDebug, LogInfo, LogWarn, LogError)
}

func (f *LogFormat) UnmarshalText(text []byte) error { return choose(f, text, LogText, LogJSON) }

// Slog is the level as log/slog has it.
func (l LogLevel) Slog() slog.Level {
	switch l {
	case LogDebug:
		return slog.LevelDebug
	case LogWarn:
		return slog.LevelWarn
	case LogError:
		return slog.LevelError
	}
	return slog.LevelInfo
}

func defaultLog() Log { return Log{Level: LogInfo, Format: LogText} }
