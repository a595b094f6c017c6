package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
)

// aclWhoAmI is ACL WHOAMI: the name that AUTH takes with the secret of the user
// that the session is.
func aclWhoAmI(s *session, _ *command.Command, _ *namespace.Request) {
	s.answer(resp.AppendBulkString(nil, s.user()))
}

// aclCat is ACL CAT [category]: of the commands that tenants may use.
func aclCat(s *session, cmd *command.Command, r *namespace.Request) {
	switch len(r.Args) {
	case 2:
		var used command.Category
		for _, c := range s.w.usableAll() {
			used |= c.Cats
		}
		s.answer(appendNames(nil, used.Names()))
	case 3:
		cat, known := command.ParseCategory(strings.ToLower(string(r.At(2)[:min(len(r.At(2)), 32)])))
		if !known {
			s.answerError("ERR Unknown category '" + string(quoted(r.At(2), 128)) + "'")
			return
		}
		var names []string
		for _, c := range s.w.usableAll() {
			if c.Cats&cat != 0 {
				names = append(names, c.Name)
			}
		}
		s.answer(appendNames(nil, names))
	default:
		s.answerError(wrongSubcommand(cmd, r))
	}
}

// usableAll are the commands and subcommands that the tenant may use and the
// upstream has.
func (w *worker) usableAll() (all []*command.Command) {
	for _, c := range command.All() {
		if usable(c) && w.knows(c) {
			all = append(all, c)
		}
	}
	return all
}

func appendNames(b []byte, names []string) []byte {
	b = resp.AppendArray(b, len(names))
	for _, n := range names {
		b = resp.AppendBulkString(b, n)
	}
	return b
}

const maxPassBits = 4096

// aclGenPass is ACL GENPASS [bits].
func aclGenPass(s *session, cmd *command.Command, r *namespace.Request) {
	bits := int64(256)
	if len(r.Args) > 3 {
		s.answerError(wrongSubcommand(cmd, r))
		return
	}
	if len(r.Args) == 3 {
		var isInt bool
		if bits, isInt = resp.ParseInt(r.At(2)); !isInt {
			s.answerError(errNotInteger.Error())
			return
		}
	}
	if bits <= 0 || bits > maxPassBits {
		s.answerError(fmt.Sprintf("ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to %d", maxPassBits))
		return
	}
	digits := (bits + 3) / 4
	b := make([]byte, (digits+1)/2)
	rand.Read(b)
	s.answer(resp.AppendBulkString(nil, hex.EncodeToString(b)[:digits]))
}

// functionList is FUNCTION LIST [LIBRARYNAME pattern]: the libraries that the
// operator has installed, without their code.
func functionList(s *session, cmd *command.Command, r *namespace.Request) {
	args := make([][]byte, len(r.Args))
	for i := range args {
		args[i] = r.At(i)
		if i >= 2 && fold(args[i], "WITHCODE") && !fold(args[i-1], "LIBRARYNAME") {
			s.answerError("NOPERM the code of functions is not available to tenants")
			return
		}
	}
	s.compose(cmd, args...)
}
