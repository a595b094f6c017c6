package quota

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Ask is what one participant says of one bucket of tokens. Tokens are operations or bytes.
type Ask struct {
	Limit  *Limit
	Spent  float64 // tokens to be paid whatever there is; below zero: given back
	Want   float64 // tokens asked for
	Demand float64 // tokens per second that are used, refused and waited for
	Used   float64 // tokens per second that are used
	Held   float64 // tokens that have been lent and not used
}

// Answer is what the bucket's home makes of an Ask.
type Answer struct {
	Granted float64 // of Ask.Want
	Share   float64 // of the rate, in proportion to the participants' demands
	Tokens  float64 // that are left for everybody; below zero: a debt
	Demand  float64 // per second, of all participants
	Used    float64 // per second, by all participants
	Proxies int     // participants, this one included

	// Away tells that the home could not be asked, and Shut that nothing passes then.
	Away, Shut bool
}

// Call are one participant's Asks of one tenant. Answers has one for each of them once
// Draw has returned without Err.
type Call struct {
	Key     string // of the tenant's buckets
	Asks    []Ask
	Answers []Answer
	Err     error
}

//go:embed bucket.lua
var bucketText string

var bucketScript = redis.NewScript(bucketText)

// fieldsPerAsk is how many arguments of the script one Ask takes.
const fieldsPerAsk = 8

var errBadAnswer = errors.New("the script of the token buckets answered something else")

// Draw runs all calls in one round trip, or two if the server does not know the script.
func Draw(ctx context.Context, client redis.UniversalClient, participant string, calls []*Call) {
	draw(ctx, client, participant, calls, false)
	var unknown []*Call
	for _, c := range calls {
		if c.Err != nil && redis.HasErrorPrefix(c.Err, "NOSCRIPT") {
			unknown = append(unknown, c)
		}
	}
	if len(unknown) > 0 {
		draw(ctx, client, participant, unknown, true)
	}
}

func draw(ctx context.Context, client redis.UniversalClient, participant string, calls []*Call, whole bool) {
	pipe := client.Pipeline()
	replies := make([]*redis.Cmd, len(calls))
	for i, c := range calls {
		args := make([]any, 1, 1+fieldsPerAsk*len(c.Asks))
		args[0] = participant
		for _, a := range c.Asks {
			args = append(args, a.Limit.Name, number(a.Limit.Rate), number(a.Limit.Burst), number(a.Spent), number(a.Want), number(a.Demand), number(a.Used), number(a.Held))
		}
		if whole {
			replies[i] = bucketScript.Eval(ctx, pipe, []string{c.Key}, args...)
		} else {
			replies[i] = bucketScript.EvalSha(ctx, pipe, []string{c.Key}, args...)
		}
	}
	_, err := pipe.Exec(ctx)
	for i, c := range calls {
		lines, failed := replies[i].StringSlice()
		switch {
		case failed == nil:
			c.Answers, c.Err = parseAnswers(lines, len(c.Asks))
		case err != nil && !isReply(failed):
			c.Err = err
		default:
			c.Err = failed
		}
	}
}

// isReply reports whether an error came from the server, which then works.
func isReply(err error) bool {
	var e redis.Error
	return errors.As(err, &e)
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', 3, 64) }

func parseAnswers(lines []string, want int) ([]Answer, error) {
	if len(lines) != want {
		return nil, errBadAnswer
	}
	answers := make([]Answer, want)
	for i, line := range lines {
		words := strings.Fields(line)
		if len(words) != 6 {
			return nil, errBadAnswer
		}
		a := &answers[i]
		for k, f := range []*float64{&a.Granted, &a.Share, &a.Tokens, &a.Demand, &a.Used} {
			var err error
			if *f, err = strconv.ParseFloat(words[k], 64); err != nil {
				return nil, fmt.Errorf("%w: %w", errBadAnswer, err)
			}
		}
		var err error
		if a.Proxies, err = strconv.Atoi(words[5]); err != nil {
			return nil, fmt.Errorf("%w: %w", errBadAnswer, err)
		}
	}
	return answers, nil
}
