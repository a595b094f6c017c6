package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// dirEnv is set in the environment of a test binary that is to write checkpoints for ever.
const dirEnv = "RIPTIDE_TEST_CHECKPOINTS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(dirEnv); dir != "" {
		writeForEver(dir)
	}
	os.Exit(m.Run())
}

// writeForEver saves texts of any length that tell by themselves whether they are whole.
func writeForEver(dir string) {
	s, err := Open(dir, 3)
	if err != nil {
		os.Exit(1)
	}
	for {
		text := bytes.Repeat([]byte{byte('a' + rand.IntN(26))}, rand.IntN(200_000))
		sum := sha256.Sum256(text)
		if _, err := s.Save(time.Now(), append([]byte(hex.EncodeToString(sum[:])), text...)); err != nil {
			os.Exit(1)
		}
	}
}

// A process that is killed two hundred times while it does nothing but write checkpoints leaves a good one
// each time, and none that is damaged. What it could not remove any more, the next one does.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 3)
	saved := uint64(0)
	rounds := 200
	if testing.Short() {
		rounds = 40
	}
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), dirEnv+"="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if round%2 == 0 { // while it writes, and else perhaps before
			harness.Eventually(t, "it has written one", func() bool {
				numbers, err := s.numbers()
				return err == nil && len(numbers) > 0 && numbers[0] > saved
			})
		}
		time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
		cmd.Process.Kill()
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() == 1 {
			t.Fatalf("round %d: it ended by itself: %v", round, err)
		}
		numbers, err := s.numbers()
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range numbers {
			_, body, err := s.Read(n)
			if err != nil {
				t.Fatalf("round %d: checkpoint %d: %v", round, n, err)
			}
			if sum := sha256.Sum256(body[64:]); hex.EncodeToString(sum[:]) != string(body[:64]) {
				t.Fatalf("round %d: checkpoint %d is not what was saved", round, n)
			}
		}
		info, err := s.Latest(func(Info, []byte) error { return nil })
		if err != nil && (saved > 0 || !errors.Is(err, ErrNone)) || info.Number < saved {
			t.Fatalf("round %d: checkpoint %d, %v, and there was %d", round, info.Number, err, saved)
		}
		saved = info.Number
	}
	save(t, s, "last")
	if numbers, err := s.numbers(); err != nil || len(numbers) != 3 {
		t.Errorf("there are %d checkpoints, %v", len(numbers), err)
	}
	if saved < uint64(rounds)/2 {
		t.Errorf("only %d checkpoints were written", saved)
	}
}
