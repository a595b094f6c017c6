package config

// Compression says how a tenant's values are stored: those of strings and of
// hashes. Keys, members of sets and sorted sets, and elements of lists are
// always stored as they are. Whatever is changed here, what is stored already
// stays readable.
type Compression struct {
	// Algorithm has no default once the section says anything; without it, none.
	Algorithm Algorithm `yaml:"algorithm"`

	// Level trades time for size. Default "default".
	Level Level `yaml:"level"`

	// MinSize is the shortest value worth trying without a dictionary. Default 1KiB.
	MinSize Size `yaml:"min_size"`

	// MinSaving is by how many percent a value must shrink; what shrinks by
	// less is stored plain, which costs no time to read. 0 to 90, default 10.
	MinSaving int `yaml:"min_saving"`

	// Exclude are patterns, as KEYS takes them, of keys whose values are not
	// compressed (though encrypted, if the tenant has encryption).
	Exclude []string `yaml:"exclude"`

	// Streams compresses and encrypts the values of streams' fields too. A
	// stream's entries can not be rewritten, so what was added stays as it was.
	// Default false.
	Streams bool `yaml:"streams"`

	Dictionaries Dictionaries `yaml:"dictionaries"`
}

// Dictionaries are what zstd knows beforehand about a tenant's values. They make
// short values that resemble each other several times smaller.
type Dictionaries struct {
	// Enabled trains and uses dictionaries. Default true with algorithm zstd,
	// false with others, which have none.
	Enabled bool `yaml:"enabled"`

	// MinSize is the shortest value worth trying with a dictionary. Default 64B.
	MinSize Size `yaml:"min_size"`

	// Patterns of keys, as KEYS takes them, that get a dictionary of their own
	// each. The first that matches a key counts; keys that none matches share
	// one. Default none.
	Patterns []string `yaml:"patterns"`

	// Size is how large a dictionary may become. 1KiB to 1MiB, default 16KiB.
	Size Size `yaml:"size"`
}

// Encryption says how a tenant's values are encrypted: those of strings and of
// hashes, and of streams' fields if Compression.Streams.
type Encryption struct {
	// Algorithm has no default once the section says anything; without it, none.
	Algorithm Cipher `yaml:"algorithm"`

	// Key names the entry of Config.EncryptionKeys for what is written from now
	// on. What was written with others stays readable as long as they are
	// configured. Without meaning if the algorithm is none.
	Key string `yaml:"key"`
}

// MasterKey says where a key of 32 bytes comes from: exactly one of its fields
// is given. Each tenant's own key is derived from it.
type MasterKey struct {
	// File holds the key, as 32 raw bytes, in hexadecimal or in base64. A
	// relative path starts at the folder of the configuration file.
	//
	// Load has already put that before it.
	File string `yaml:"file"`

	// Env is the environment variable that holds the key in hexadecimal or base64.
	Env string `yaml:"env"`

	// Command is a program and its arguments, run without a shell, whose standard
	// output is the key in one of the forms of File. A relative program is
	// looked up as in a shell, from where the proxy was started.
	Command []string `yaml:"command"`
}

// newCompression has the defaults of a tenant without the section.
func newCompression() Compression {
	return Compression{
		Algorithm: NoCompression,
		Level:     DefaultLevel,
		MinSize:   KiB,
		MinSaving: 10,

		Dictionaries: Dictionaries{MinSize: 64, Size: 16 * KiB},
	}
}
