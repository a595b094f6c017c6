//go:build race

package value

// With the race detector pools drop what they are given now and then.
const raceDetector = true
