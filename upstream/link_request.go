package upstream

// Request is what the command that is being answered was sent as. It is to be
// called within Owner.Reply only, and the bytes are valid until it returns. It
// is nil when they are not there any more: a large write is passed on without
// being kept.
func (k *Link[T]) Request() []byte {
	end := k.log.pos
	if k.flight.n > 0 {
		end = k.flight.front().start
	}
	return k.log.bytes(k.answering, end)
}
