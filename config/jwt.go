package config

import "time"

// JWT says whose JSON Web Tokens log in, to tenants with AUTH and to the admin listener.
type JWT struct {
	// Issuers by a name of the operator's, which is what logs and metrics call them.
	// Default none: no token logs in.
	Issuers map[string]*JWTIssuer `yaml:"issuers"`

	// Revoked are tokens that log in no more though they have not expired, and end connections that have logged
	// in with them. At most 10000; default none.
	Revoked []JWTRevocation `yaml:"revoked"`
}

// JWTRevocation names one token of an issuer, or all of somebody's.
type JWTRevocation struct {
	// Issuer is the issuer's name among Issuers.
	Issuer string `yaml:"issuer"`

	// ID is the claim jti of the one token.
	ID string `yaml:"id"`

	// Subject is the claim sub of all tokens, also of those that are yet to come. Instead of ID.
	Subject string `yaml:"subject"`
}

// hasRoles tells whether anybody's token may say what its holder may do at the admin listener.
func (j JWT) hasRoles() bool {
	for _, i := range j.Issuers {
		if i.RoleClaim != "" {
			return true
		}
	}
	return false
}

// JWTIssuer is somebody whose tokens are believed, and what in them.
type JWTIssuer struct {
	// Issuer is the claim iss of its tokens, to the letter. No two issuers have the same.
	Issuer string `yaml:"issuer"`

	// Audience is what the proxy is called in the claim aud: one of these must be there, so
	// that a token made for another service does not log in.
	Audience []string `yaml:"audience"`

	// Algorithms that tokens may be signed with.
	Algorithms []JWTAlgorithm `yaml:"algorithms"`

	// Keys that signatures are checked with, beside those of JWKS.
	Keys []JWTKey `yaml:"keys"`

	JWKS JWKS `yaml:"jwks"`

	// Refresh is how often files and URLs with keys are read anew. 1s to 24h, default 15m.
	Refresh Duration `yaml:"refresh"`

	// MaxAge is how long keys are used that could not be read anew. At least Refresh, default 24h.
	MaxAge Duration `yaml:"max_age"`

	// Tenant is the one that all tokens of this issuer are for. Empty, the default: a claim says it.
	Tenant string `yaml:"tenant"`

	// TenantClaim is where a token names its tenant. A claim's name, or with a slash in
	// front a path into claims: /realm/tenant. Default "tenant".
	TenantClaim string `yaml:"tenant_claim"`

	// Tenants are those that the issuer may log in to. Empty, the default: all.
	Tenants []string `yaml:"tenants"`

	// UserClaim is where a token names the user of the tenant. Empty, the default: the
	// user is "default". With it a token without the claim does not log in.
	UserClaim string `yaml:"user_claim"`

	// RoleClaim is where a token says, in a text or a list of them, what its holder may do at the
	// admin listener. Empty, the default: nothing.
	RoleClaim string `yaml:"role_claim"`

	// Roles translate what stands there. Default: the roles' own names.
	Roles map[string]Role `yaml:"roles"`

	// Operators lets the role of a token without a tenant hold for all tenants. Default
	// false: such a token may do nothing.
	Operators bool `yaml:"operators"`

	// Leeway is how far the clocks of issuer and proxy may be apart. 0s to 5m, default 30s.
	Leeway Duration `yaml:"leeway"`
}

// JWTKey is a key that signatures are checked with.
type JWTKey struct {
	// ID is the header kid of the tokens it is for. Empty: any.
	ID string `yaml:"id"`

	Algorithm JWTAlgorithm `yaml:"algorithm"` // the only one that the key is used with

	// File holds a public key or a certificate in PEM; for HS256 the secret itself, up to
	// a line's end. A relative path starts at the folder of the configuration file.
	File string `yaml:"file"`

	// Secret is that of HS256, instead of a file: at least 32 bytes.
	Secret Password `yaml:"secret"`
}

// JWKS is a JSON Web Key Set: a file or a URL.
type JWKS struct {
	File string `yaml:"file"` // a relative path starts at the folder of the configuration file

	// URL is https, or http on this machine. It is read in the background.
	URL string `yaml:"url"`

	// CA is a PEM file with the certificates that the URL's server may be signed by.
	// Empty, the default: those of the system.
	CA string `yaml:"ca"`
}

// JWTAlgorithm signs tokens.
type JWTAlgorithm string

const (
	HS256 JWTAlgorithm = "HS256" // HMAC with SHA-256, with a shared secret
	RS256 JWTAlgorithm = "RS256" // RSA PKCS #1 v1.5 with SHA-256
	ES256 JWTAlgorithm = "ES256" // ECDSA on P-256 with SHA-256
	EdDSA JWTAlgorithm = "EdDSA" // Ed25519
)

func (a *JWTAlgorithm) UnmarshalText(text []byte) error {
	return choose(a, text, HS256, RS256, ES256, EdDSA)
}

// MinHMACSecret is how long the secret of HS256 is at least, in bytes.
const MinHMACSecret = 32

// setDefaults lets the decoder start an issuer of a map from its defaults.
func (i *JWTIssuer) setDefaults() {
	*i = JWTIssuer{
		Refresh:     Duration(15 * time.Minute),
		MaxAge:      Duration(24 * time.Hour),
		TenantClaim: "tenant",
		Leeway:      Duration(30 * time.Second),
	}
}
