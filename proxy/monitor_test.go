package proxy

import (
	"strings"
	"testing"
)

// Secrets are in no line of MONITOR, be the command right or wrong.
func TestMonitorSecrets(t *testing.T) {
	for _, line := range []string{
		"AUTH SECRET", "AUTH acme SECRET", "AUTH acme joe SECRET", "HELLO 3 AUTH acme SECRET", "hello 2 setname x auth acme SECRET", "HELLO AUTH acme SECRET", "HELLO 3 AUTH AUTH SECRET",
	} {
		words := strings.Fields(line)
		secrets := authSecrets
		if fold([]byte(words[0]), "HELLO") {
			secrets = helloSecrets
		}
		for i, w := range words {
			if w == "SECRET" && !secrets(request(t, words...), i) {
				t.Errorf("%s shows it", line)
			}
		}
	}
}
