package config

// Tenant is one isolated Redis as its clients see it.
type Tenant struct {
	// Plan names an entry of Config.Plans; empty: none.
	Plan string `yaml:"plan"`

	// Suspended tenants keep their data but cannot log in. Default false.
	Suspended bool `yaml:"suspended"`

	// Users by name. The user "default" is who logs in with AUTH <tenant>
	// <secret>; any other with AUTH <tenant>.<user> <secret>.
	Users map[string]*User `yaml:"users"`

	// Networks are where the tenant's clients may connect from. Empty, the default: from
	// everywhere.
	Networks Networks `yaml:"networks"`

	// Quotas override those of the plan, one by one.
	Quotas Quotas `yaml:"quotas"`

	Compression Compression `yaml:"compression"`
	Encryption  Encryption  `yaml:"encryption"`

	// Databases is how many SELECT can reach, 1 to 1024. Default 16, as Redis has.
	Databases int `yaml:"databases"`

	// HashTag stores the keys as t:{<tenant>}:..., which puts the whole tenant
	// into one slot of a cluster: all its commands over several keys work there,
	// but it cannot outgrow one node. It decides where the keys are, so changing
	// it hides the ones written before. Default false.
	HashTag bool `yaml:"hash_tag"`

	// Tags are the operator's own names and values, by which usage and bills can be
	// picked and summed up.
	Tags map[string]string `yaml:"tags"`

	// Scripts says what scripts may do. Default isolated.
	Scripts Scripts `yaml:"scripts"`
}

// User is one identity of a tenant. It may have several secrets at once, so that
// a secret can be replaced without a moment in which neither works.
type User struct {
	// SHA256 are hashes of secrets, each 64 lower-case hexadecimal digits, as
	// HashSecret gives them. Only for random secrets: those of people are
	// guessed too quickly from a plain hash, and belong in Argon2id. AUTH with a
	// secret alone finds its user by this hash, so a hash occurs only once in a
	// whole configuration.
	SHA256 []string `yaml:"sha256"`

	// Argon2id are hashes for secrets that people chose, as HashArgon2id gives them.
	Argon2id []string `yaml:"argon2id"`

	// Certificates are the names of clients' certificates, verified by tls.client_ca, that log in as
	// this user without AUTH: subject:, cn:, dns:, uri: or email: and what the certificate has
	// there. One name belongs to one user only.
	Certificates []string `yaml:"certificates"`

	// ACL is what the user may do, in the grammar of Redis's ACL SETUSER ("+@read ~cache:*"). As there, a
	// user may do nothing but what a rule allows. Absent: everything.
	ACL string `yaml:"acl"`

	// Quotas limit this user, in addition to what limits the tenant.
	Quotas UserQuotas `yaml:"quotas"`
}

// newTenant is a tenant with every default.
func newTenant() *Tenant {
	return &Tenant{
		Users:       map[string]*User{},
		Compression: newCompression(),
		Encryption:  Encryption{Algorithm: NoEncryption},
		Databases:   16,
		Scripts:     IsolatedScripts,
	}
}

// setDefaults lets the decoder start a tenant of a map from its defaults.
func (t *Tenant) setDefaults() { *t = *newTenant() }
