package resp

// ProtocolError is what is wrong with a client's request. The text is what Redis says in the same case; it goes to
// the client after "-ERR ", never holds CR or LF, and the connection is closed after it.
type ProtocolError string

func (e ProtocolError) Error() string { return string(e) }

// These are errors that Scan returns; the one that is missing names the byte that stands where a '$' should.
var (
	ErrMultibulkLength          error = ProtocolError("Protocol error: invalid multibulk length")
	ErrMultibulkCount           error = ProtocolError("Protocol error: too big mbulk count string")
	ErrMultibulkUnauthenticated error = ProtocolError("Protocol error: unauthenticated multibulk length")
	ErrBulkLength               error = ProtocolError("Protocol error: invalid bulk length")
	ErrBulkCount                error = ProtocolError("Protocol error: too big bulk count string")
	ErrBulkUnauthenticated      error = ProtocolError("Protocol error: unauthenticated bulk length")
	ErrBulkEnd                  error = ProtocolError("Protocol error: expected CRLF after the bulk")
	ErrInlineSize               error = ProtocolError("Protocol error: too big inline request")
	ErrInlineQuotes             error = ProtocolError("Protocol error: unbalanced quotes in request")
	ErrRequestSize              error = ProtocolError("Protocol error: request is larger than limits.request")
)

// expectedBulk is the error for an argument that begins with c instead of '$'. Redis puts c in its message as it is,
// except that no byte may end the reply line early.
func expectedBulk(c byte) error {
	if c == '\r' || c == '\n' {
		c = ' '
	}
	return ProtocolError("Protocol error: expected '$', got '" + string([]byte{c}) + "'")
}

// ReplyError is what is wrong with an upstream's reply. Where the next reply begins is then unknown, so the
// connection is of no further use.
type ReplyError string

func (e ReplyError) Error() string { return "malformed reply: " + string(e) }

// These are the errors of ReplyScanner, Rewrite and Filter.
var (
	ErrReplyType   error = ReplyError("unknown type")
	ErrReplyHeader error = ReplyError("invalid header")
	ErrReplyLength error = ReplyError("length out of range")
	ErrReplyBulk   error = ReplyError("bulk does not end in CRLF")
	ErrReplyStream error = ReplyError("invalid streamed reply")
	ErrReplyDepth  error = ReplyError("nested too deeply")
	ErrReplyEnd    error = ReplyError("incomplete, or followed by more")
)
