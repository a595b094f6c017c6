package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"riptide-proxy/admin"
	"riptide-proxy/config"
)

// apiTool is what the commands have in common that ask a proxy's admin listener.
type apiTool struct {
	admin string
	file  string
	token string
	from  string // file with the token
	json  bool

	base   string
	client *http.Client
}

// apiPatience is how long the listener may take. It reloads the configuration for most changes.
const apiPatience = 2 * time.Minute

// apiLargest bounds what is read of an answer, in bytes.
const apiLargest = 256 << 20

// apiHelp is about the flags that all these commands have.
const apiHelp = `It asks the admin listener that --admin names, or the one of --config. A token is
better given in ` + topTokenEnv + ` or by --token-file than by --token, which others on the machine can see.`

// group is a command that has only subcommands; these get the tool's flags.
func (a *apiTool) group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: short + ".\n\n" + apiHelp, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	f := cmd.PersistentFlags()
	a.flags(f)
	f.StringVarP(&a.file, "config", "c", "", "configuration file whose admin.listen is asked")
	f.BoolVar(&a.json, "json", false, "print what the listener answers, in JSON")
	cmd.AddCommand(subs...)
	return cmd
}

// flags say which listener is asked, and by whom.
func (a *apiTool) flags(f *pflag.FlagSet) {
	f.StringVarP(&a.admin, "admin", "a", "", "admin listener of a proxy, host:port or a URL")
	f.StringVar(&a.token, "token", "", "bearer token for the admin listener; default: from "+topTokenEnv)
	f.StringVar(&a.from, "token-file", "", "file with the token; - is standard input")
}

// readToken finds the token.
func (a *apiTool) readToken() error {
	switch {
	case a.from != "" && a.token != "":
		return errors.New("--token or --token-file, not both")
	case a.from != "":
		text, err := os.ReadFile(a.from)
		if a.from == "-" {
			text, err = io.ReadAll(io.LimitReader(os.Stdin, apiLongestToken))
		}
		if err != nil {
			return fmt.Errorf("--token-file: %w", err)
		}
		if a.token = strings.TrimSpace(string(text)); a.token == "" {
			return fmt.Errorf("--token-file %s is empty", a.from)
		}
	case a.token == "":
		a.token = os.Getenv(topTokenEnv)
	}
	return nil
}

// apiLongestToken bounds what is read of standard input, in bytes.
const apiLongestToken = 64 << 10

// sub is a subcommand; do runs with the listener known.
func (a *apiTool) sub(use, short string, args cobra.PositionalArgs, do func(ctx context.Context, cmd *cobra.Command, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		ctx, stop := running(cmd)
		defer stop()
		if err := a.open(); err != nil {
			return err
		}
		defer a.client.CloseIdleConnections()
		return do(ctx, cmd, args)
	}}
}

// open finds the listener.
func (a *apiTool) open() error {
	address := a.admin
	switch {
	case address != "" && a.file != "":
		return errors.New("--admin or --config, not both")
	case a.file != "":
		cfg, _, err := config.Load(a.file)
		if err != nil {
			return err
		}
		if cfg.Admin.Listen == "" {
			return fmt.Errorf("%s has no admin.listen", a.file)
		}
		address = reachable(cfg.Admin.Listen)
	case address == "":
		return errors.New("name a proxy's admin listener with --admin, or a configuration that has admin.listen with --config")
	}
	base, err := adminURL(address)
	if err != nil {
		return err
	}
	a.base = base
	if err := a.readToken(); err != nil {
		return err
	}
	a.client = &http.Client{Timeout: apiPatience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return nil
}

// etagFlag is for changes that are to be made only of what somebody has seen.
func etagFlag(cmd *cobra.Command, etag *string) {
	cmd.Flags().StringVar(etag, "etag", "", "only if it still is what had this ETag")
}

// ifMatch is the header for such a change; without an ETag there is none.
func ifMatch(etag string) []string {
	if etag == "" {
		return nil
	}
	return []string{"If-Match", etag}
}

// apiReply is what was answered.
type apiReply struct {
	status int
	header http.Header
	body   []byte
}

// ask makes a request. body is sent as JSON unless it is nil; header is of names and values in turn. An error
// is what the listener says is wrong.
func (a *apiTool) ask(ctx context.Context, method, path string, body any, header ...string) (*apiReply, error) {
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, send)
	if err != nil {
		return nil, err
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := a.client.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // without the URL
		}
		return nil, fmt.Errorf("the admin listener at %s can not be asked: %w", a.base, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, apiLargest))
	if err != nil {
		return nil, fmt.Errorf("the answer of %s ends early: %w", a.base, err)
	}
	if resp.StatusCode >= 300 {
		return nil, refusal(resp.Status, answer)
	}
	return &apiReply{resp.StatusCode, resp.Header, answer}, nil
}

// refusal is the error for a problem that was answered.
func refusal(status string, body []byte) error {
	var p admin.Problem
	if json.Unmarshal(body, &p) != nil || p.Title == "" {
		return errors.New(status)
	}
	lines := []string{p.Error()}
	for _, f := range p.Errors {
		at := config.Problem{File: f.File, Line: f.Line, Path: f.Path, Text: f.Text}
		lines = append(lines, "  "+strings.TrimPrefix(at.String(), ": "))
	}
	if p.Status == http.StatusUnauthorized {
		lines = append(lines, "  "+topTokenEnv+", --token-file or --token gives a token")
	}
	return errors.New(strings.Join(lines, "\n"))
}

// get asks for something and reads it into v.
func (a *apiTool) get(ctx context.Context, path string, v any) (*apiReply, error) {
	r, err := a.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(r.body, v); err != nil {
		return nil, fmt.Errorf("the answer of %s can not be read: %w", a.base, err)
	}
	return r, nil
}

// show prints the answer itself, or what print makes of it.
func (a *apiTool) show(out io.Writer, r *apiReply, print func(w io.Writer)) error {
	if a.json {
		_, err := out.Write(r.body)
		return err
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	print(w)
	return w.Flush()
}

// row prints a line of a table.
func row(w io.Writer, cells ...any) {
	text := make([]string, len(cells))
	for i, c := range cells {
		text[i] = clean(fmt.Sprint(c))
	}
	fmt.Fprintln(w, strings.Join(text, "\t"))
}

// clean leaves out what a terminal would take for something else: clients name themselves.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}

// adminURL is a listener's address as a URL.
func adminURL(address string) (string, error) {
	base := address
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("--admin %s: want host:port or a URL", address)
	}
	return strings.TrimSuffix(base, "/"), nil
}
