// Package jwt finds out who logs in with a JSON Web Token.
//
// A token is believed if an issuer of the configuration has signed it with one of
// its keys and an algorithm that is allowed there, for this proxy, and for
// this time. Everything else is refused: what the token itself says of how it is to be checked
// (its header) only ever chooses among what is configured.
package jwt
