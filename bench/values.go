package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"riptide-proxy/tests/corpus"
)

// valueRow is a command on JSON documents, as different from each other as real ones: what compressing
// and encrypting costs depends on what a value holds. It is measured with all
// variants of riptide.
type valueRow struct {
	label string
	size  int // of a document, in bytes, at least
	op    string
}

var valueRows = []valueRow{
	{label: "1 KiB", size: 1 << 10, op: "GET"},
	{label: "1 KiB", size: 1 << 10, op: "SET"},
	{label: "16 KiB", size: 16 << 10, op: "GET"},
	{label: "16 KiB", size: 16 << 10, op: "SET"},
}

const (
	valueClients = 50
	valueKeys    = 20 // of each client
	valueRun     = time.Second
)

func (r valueRow) name() string {
	return strings.ToLower(fmt.Sprintf("c%d-json%dk-%s", valueClients, r.size>>10, r.op))
}

func (r valueRow) title() string {
	return fmt.Sprintf("%s, no pipeline, JSON of %s, %s", plural(valueClients, "client"), r.label, r.op)
}

// keys are what the keys of a job are called.
func (j job) keys() value {
	if j.Size > 0 {
		return value{key: "jsn"}
	}
	return small
}

// content is what the keys of a job's connection hold: of documents, each connection has its own.
func (j job) content(connection int) string {
	if j.Size > 0 {
		return string(corpus.Document(connection, j.Size))
	}
	return small.content()
}

// runValues measures a row of valueRows.
func (b *bench) runValues(ctx context.Context, s *server, r valueRow) (sample, error) {
	return b.generate(ctx, s, job{
		Addr: s.addr(), Logins: slices.Repeat([]login{s.login}, valueClients), Pipeline: 1, Op: r.op, Keys: valueKeys, Size: r.size, Duration: valueRun,
	})
}
