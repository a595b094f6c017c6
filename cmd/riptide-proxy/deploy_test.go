package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"riptide-proxy/config"
)

// deployed reads a file of those that operators install.
func deployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// understood checks that arguments are such as the program takes.
func understood(t *testing.T, args []string) {
	t.Helper()
	root := serveCommand()
	root.AddCommand(checkCommand())
	cmd, rest, err := root.Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil {
		t.Errorf("%q: %v", args, err)
	}
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The unit runs the program as it wants to be run, and lets it end in its own time.
func TestSystemdUnit(t *testing.T) {
	settings := make(map[string][]string)
	for line := range strings.Lines(deployed(t, "deploy/systemd/riptide-proxy.service")) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '[' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.TrimSpace(key) != key {
			t.Errorf("%q is no setting", line)
		}
		settings[key] = append(settings[key], value)
	}
	const program = "/usr/local/bin/riptide-proxy "
	for _, key := range []string{"ExecStart", "ExecReload"} {
		line, ok := strings.CutPrefix(settings[key][0], program)
		if !ok {
			t.Fatalf("%s=%s", key, settings[key][0])
		}
		understood(t, strings.Fields(line))
	}
	stop, err := strconv.Atoi(settings["TimeoutStopSec"][0])
	if least := time.Duration(config.Default().ShutdownTimeout) + 3*traceTime; err != nil || time.Duration(stop)*time.Second < least {
		t.Errorf("TimeoutStopSec=%d, and the proxy may take %v", stop, least)
	}
	for key, want := range map[string]string{
		"User": "riptide", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": "", "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
	} {
		if got := settings[key]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// The image is of the Go version that the module wants, static, without rights, and runs what there is.
func TestDockerfile(t *testing.T) {
	text := deployed(t, "Dockerfile")
	line := func(pattern string) string {
		t.Helper()
		m := regexp.MustCompile(`(?m)^` + pattern + `$`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no line %s", pattern)
		}
		return m[1]
	}
	from := line(`FROM golang:([0-9.]+) AS build`)
	wanted := regexp.MustCompile(`(?m)^go ([0-9]+\.[0-9]+)`).FindStringSubmatch(deployed(t, "go.mod"))[1]
	if from != wanted {
		t.Errorf("the image is built with Go %s, the module wants %s", from, wanted)
	}
	if build := line(`RUN (.*go build .*)`); !strings.HasPrefix(build, "CGO_ENABLED=0 ") || !strings.HasSuffix(build, " -o /riptide-proxy ./cmd/riptide-proxy") {
		t.Errorf("it is built by %s", build)
	}
	if user := line(`USER (.*)`); !regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`).MatchString(user) {
		t.Errorf("it runs as %s; names need a file that scratch has not", user)
	}
	var entry, args []string
	for list, line := range map[*[]string]string{&entry: line(`ENTRYPOINT (.*)`), &args: line(`CMD (.*)`)} {
		if err := yaml.Unmarshal([]byte(line), list); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(entry, []string{"/riptide-proxy"}) {
		t.Errorf("it runs %q", entry)
	}
	understood(t, args)
	if ports := line(`EXPOSE (.*)`); ports != strconv.Itoa(portOf(t, config.Default().Listen))+" 9380" {
		t.Errorf("it exposes %s", ports)
	}
}

// probe is how Kubernetes asks.
type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// manifest is what is looked at of Kubernetes's objects.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Selector map[string]any
		Ports    []struct {
			TargetPort string `yaml:"targetPort"`
		}
		Template struct {
			Metadata struct{ Labels, Annotations map[string]string }
			Spec     struct {
				Grace      int `yaml:"terminationGracePeriodSeconds"`
				Containers []struct {
					Args  []string
					Ports []struct {
						Name          string
						ContainerPort int `yaml:"containerPort"`
					}
					LivenessProbe  probe `yaml:"livenessProbe"`
					ReadinessProbe probe `yaml:"readinessProbe"`
					Lifecycle      struct {
						PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
					}
					VolumeMounts []struct {
						MountPath string `yaml:"mountPath"`
					} `yaml:"volumeMounts"`
				}
				Volumes []struct {
					ConfigMap struct{ Name string } `yaml:"configMap"`
				}
			}
		}
	}
}

// The objects for Kubernetes fit together, and their configuration is one.
func TestKubernetes(t *testing.T) {
	objects := make(map[string]*manifest)
	for _, name := range []string{"config.yaml", "proxy.yaml"} {
		decoder := yaml.NewDecoder(bytes.NewReader([]byte(deployed(t, "deploy/kubernetes/"+name))))
		for {
			m := new(manifest)
			if err := decoder.Decode(m); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			objects[m.Kind+" "+m.Metadata.Name] = m
		}
	}
	deployment, settings, service := objects["Deployment riptide-proxy"], objects["ConfigMap riptide"], objects["Service riptide-proxy"]
	if deployment == nil || settings == nil || service == nil || len(objects) != 6 {
		t.Fatalf("%v", objects)
	}
	pod := &deployment.Spec.Template.Spec
	if len(pod.Containers) != 1 || pod.Volumes[0].ConfigMap.Name != "riptide" {
		t.Fatalf("%+v", pod)
	}
	proxy := &pod.Containers[0]
	understood(t, proxy.Args)
	file := proxy.Args[len(proxy.Args)-1]
	if filepath.Dir(file) != proxy.VolumeMounts[0].MountPath {
		t.Errorf("%s is not in the volume", file)
	}
	cfg, warnings, err := config.Parse(file, []byte(settings.Data[filepath.Base(file)]), func(name string) (string, bool) {
		return "value", name == "REDIS_PASSWORD" || name == "FLEET_SECRET"
	})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	ports := make(map[string]int)
	for _, p := range proxy.Ports {
		ports[p.Name] = p.ContainerPort
	}
	if ports["redis"] != portOf(t, cfg.Listen) || ports["admin"] != portOf(t, cfg.Admin.Listen) || service.Spec.Ports[0].TargetPort != "redis" {
		t.Errorf("the ports are %v", ports)
	}
	if l, r := proxy.LivenessProbe.HTTPGet, proxy.ReadinessProbe.HTTPGet; l.Path != "/healthz" || r.Path != "/readyz" || l.Port != "admin" || r.Port != "admin" {
		t.Errorf("the probes ask %v and %v", l, r)
	}
	if least := time.Duration(cfg.ShutdownTimeout) + time.Duration(proxy.Lifecycle.PreStop.Sleep.Seconds)*time.Second + 3*traceTime; time.Duration(pod.Grace)*time.Second < least {
		t.Errorf("it is given %d s to end, and may take %v", pod.Grace, least)
	}
	labels := deployment.Spec.Template.Metadata.Labels
	if match, ok := deployment.Spec.Selector["matchLabels"].(map[string]any); !ok || match["app"] != labels["app"] || service.Spec.Selector["app"] != labels["app"] {
		t.Errorf("nothing selects %v", labels)
	}
}
