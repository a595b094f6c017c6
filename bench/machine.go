package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// describeMachine says where the figures come from, and how busy the machine
// was with other things; so it must be asked before any server starts.
func describeMachine() []string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	mem, _ := os.ReadFile("/proc/meminfo")
	model := field(string(info), "model name")
	if model == "" {
		model = runtime.GOARCH // ARM kernels do not name the model
	}
	lines := []string{
		"CPU: " + model,
		fmt.Sprintf("Cores: %d", runtime.NumCPU()),
		"Kernel: " + kernel(),
	}
	if total := field(string(mem), "MemTotal"); total != "" {
		lines = append(lines, "Memory: "+total)
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		minute, _, _ := strings.Cut(string(load), " ")
		lines = append(lines, "Load average before the start: "+minute)
	}
	return lines
}

// field returns the first value of a name in text made of "name : value" lines.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(line, ":")
		if found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
