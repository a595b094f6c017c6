package proxy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"riptide-proxy/command"
	"riptide-proxy/value"
)

// codes are what the proxy's own errors begin with.
var codes = []string{"ERR", "NOAUTH", "WRONGPASS", "NOPERM", "OOM", "THROTTLED", "UNAVAILABLE", "UNKNOWN", "EXECABORT", "NOPROTO", "NOSCRIPT", "NOTBUSY"}

// upstreams are codes that the upstream's errors have and the proxy looks for.
var upstreams = []string{"NOGROUP", "WRONGTYPE", "LOADING", "BUSY", "MASTERDOWN", "RIPTIDESEALED"}

// sources are where errors that clients get have their texts.
var sources = []string{".", "../namespace", "../script", "../upstream", "../quota", "../quota/ledger", "../value", "../value/inside", "../resp"}

var (
	verb      = regexp.MustCompile(`%[-+.0-9]*[a-z]`)
	isError   = regexp.MustCompile(`^-?(` + strings.Join(codes, "|") + `) (.*)$`)
	otherCode = regexp.MustCompile(`^-([A-Z]{3,}) `)
)

// flattened is a text as it is put together in the source, with "…" for what is not known there.
func flattened(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			if text, err := strconv.Unquote(e.Value); err == nil {
				return verb.ReplaceAllString(text, "…")
			}
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return flattened(e.X) + flattened(e.Y)
		}
	case *ast.ParenExpr:
		return flattened(e.X)
	}
	return "…"
}

// errorTexts are the texts of errors in the sources, by text with the place where each is.
func errorTexts(t *testing.T) map[string]string {
	all := make(map[string]string)
	set := token.NewFileSet()
	for _, dir := range sources {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(set, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				e, ok := n.(ast.Expr)
				if !ok {
					return true
				}
				text := strings.TrimSpace(strings.TrimSuffix(flattened(e), "\r\n"))
				if m := isError.FindStringSubmatch(text); m != nil && strings.Trim(m[2], "… ") != "" {
					all[strings.TrimPrefix(text, "-")] = set.Position(n.Pos()).String()
				} else if m := otherCode.FindStringSubmatch(text); m != nil && !slices.Contains(upstreams, m[1]) {
					t.Errorf("%v: nothing is known of the code %s", set.Position(n.Pos()), m[1])
				}
				_, sum := n.(*ast.BinaryExpr)
				return !sum
			})
		}
	}
	return all
}

// redisOwn are texts that Redis has, too, where the proxy answers in its place.
var redisOwn = []string{
	"ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to …",
	"ERR CLIENT PAUSE mode must be WRITE or ALL", "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
	"ERR Can't execute '…': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
	"ERR Client names cannot contain spaces, newlines or special characters.", "ERR Command not allowed inside a transaction",
	"ERR DB index is out of range", "ERR DISCARD without MULTI", "ERR EXEC without MULTI", "ERR Error compiling script",
	"ERR Invalid client ID", "ERR MULTI calls can not be nested", "ERR No samples available for event '…'", "ERR No such client",
	"ERR No such user '…'", "ERR Number of keys can't be greater than number of args", "ERR Number of keys can't be negative",
	"ERR Protocol version is not an integer or out of range", "ERR Replica can't interact with the keyspace",
	"ERR SCRIPT FLUSH only support SYNC|ASYNC option", "ERR Syntax error in HELLO option '…'",
	"ERR This instance has cluster support disabled", "ERR Unknown category '…'", "ERR Unknown client type '…'", "ERR Unknown node",
	"ERR Unrecognized option '…'", "ERR WATCH inside MULTI is not allowed", "ERR client-id should be greater than 0",
	"ERR count should be greater than or equal to -1", "ERR maxage is not an integer or out of range", "ERR maxage should be greater than 0",
	"ERR source and destination objects are the same", "ERR syntax error", "ERR timeout is negative",
	"ERR timeout is not an integer or out of range", "ERR type should be one of the following: slow, large-request, large-reply",
	"ERR unknown command", "ERR unknown command '…', with args beginning with: …", "ERR unknown subcommand '…'. Try … HELP.",
	"ERR unknown subcommand or wrong number of arguments for '…'. Try PUBSUB HELP.",
	"ERR unknown subcommand or wrong number of arguments for '…'. Try … HELP.", "ERR value is not an integer or out of range",
	"ERR value is out of range, value must between -2147483648 and 2147483647",
	"ERR wrong number of arguments for 'client|unblock' command", "ERR wrong number of arguments for '…' command",
	"ERR … cannot contain spaces, newlines or special characters.",
}

// Each error that a tenant can meet is in docs/troubleshooting.md, by its text; only those that Redis has, too, need not be.
func TestErrorsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	texts := errorTexts(t)
	if len(texts) < 80 {
		t.Errorf("only %d texts were found", len(texts))
	}
	for _, e := range []error{
		value.ErrCorrupt, value.ErrTooLong, value.ErrWrongKey, &value.MissingDictError{}, &value.MissingKeyError{}, &value.WrongKeyError{},
	} {
		texts["ERR "+strings.NewReplacer("00000000", "…", `""`, "…").Replace(e.Error())] = "package value"
	}
	for text, at := range texts {
		if !strings.Contains(doc, "`"+text+"`") && !slices.Contains(redisOwn, text) {
			t.Errorf("docs/troubleshooting.md does not have `%s` (%s)", text, at)
		}
	}
	for _, code := range codes {
		if !regexp.MustCompile("(?m)^## .*\\b" + code + "\\b").MatchString(doc) {
			t.Errorf("docs/troubleshooting.md has no section for %s", code)
		}
	}
	for _, cmd := range command.All() {
		if cmd.Why != "" && !strings.Contains(doc, "`"+cmd.Why+"`") {
			t.Errorf("docs/troubleshooting.md does not have the reason `%s` (%s)", cmd.Why, cmd.Name)
		}
	}
	for _, text := range redisOwn {
		if _, there := texts[text]; !there {
			t.Errorf("nothing answers %q any more", text)
		}
	}
}
