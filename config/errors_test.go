package config

import (
	"strings"
	"testing"
)

// Two hashes for the tables, and the parts of a file that most cases do not care about.
const (
	hashA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hashB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

	upstream = "upstream: {mode: embedded}\n"
	tenants  = "tenants: {acme: {users: {default: {sha256: [" + hashA + "]}}}}\n"
	rest     = upstream + tenants
	acme     = upstream + "tenants:\n  acme:\n" // 3 lines, then the tenant's own keys
)

const (
	addressMissing = "is missing: give the host:port of the upstream, or mode: embedded to try things out"
	notSHA256      = "is not a SHA-256 of 64 hexadecimal digits (riptide-proxy hash makes one)"
	noACL          = `there are no rules, so the user could do nothing; "nocommands" says so, and without acl it may do everything`
)

// Each case is a whole file and all of its errors, in order.
var errorCases = []struct{ name, file, want string }{
	{"empty file", "", "f:1: upstream.addresses: " + addressMissing + "\nf:1: tenants: there are no tenants: nobody could log in"},
	{"only a comment", "# x\n" + upstream, "f:1: tenants: there are no tenants: nobody could log in"},
	{"no tenants", upstream + "\ntenants: {}\n", "f:3: tenants: there are no tenants: nobody could log in"},
	{"not a mapping", "[a]", "f:1: expected a mapping of keys to values, got a list\n" +
		"f:1: upstream.addresses: " + addressMissing + "\nf:1: tenants: there are no tenants: nobody could log in"},

	// YAML itself.
	{"syntax", rest + "limits:\n  bulk: 1MiB\n request: 1MiB\n", "f:5: is not YAML: did not find expected key"},
	{"syntax, flow", rest + "admin:\n  tokens: [a, b\nlisten: x\n", "f:4: is not YAML: did not find expected ',' or ']'"},
	{"syntax, variable in a mapping on one line", rest + "admin: {listen: ${ADMIN}, request_size: 1MiB}\n",
		"f:3: is not YAML: did not find expected ',' or '}' (within { } and [ ] a variable stands in quotes: \"${NAME}\")"},
	{"syntax, first line", "listen: a: b\n", "f:1: is not YAML: mapping values are not allowed in this context"},
	{"syntax, no colon", rest + "listen\nloops: 1\n", "f:3: is not YAML: could not find expected ':'"},
	{"two documents", "---\n" + rest + "---\nlisten: x\n", "f:4: a second YAML document begins here, but a file has only one"},
	{"bad second document", rest + "---\nlisten: [\n", "f:5: is not YAML: did not find expected node content"},
	{"not UTF-8", rest + "listen: \xff\n", "f:3: is not UTF-8 text"},
	{"control character", rest + "# \x01\n", "f:3: has a control character"},
	{"unknown alias", "upstream:\n  addresses: [a:1]\n  password: *hunter2\n" + tenants,
		"f:3: a value begins with * but names no anchor; quote it if it is not an alias"},
	{"password like an anchor", "upstream:\n  addresses: [a:1]\n  password: &hunter2\n" + tenants,
		"f:3: upstream.password: the value is an empty YAML anchor; quote a value that begins with &"},
	{"password like a tag", "upstream:\n  addresses: [a:1]\n  password: !hunter2 x\n" + tenants,
		"f:3: upstream.password: YAML tags are not supported; quote a value that begins with !"},
	{"merge", rest + "plans:\n  a: &a {keys: 1}\n  b:\n    <<: *a\n",
		"f:6: plans.b: a key must be a plain word (merging with << is not supported)"},
	{"list as key", rest + "? [a]\n: b\n", "f:3: a key must be a plain word (merging with << is not supported)"},
	{"too deep", rest + "x: " + strings.Repeat("[", 20000), "f:3: is not YAML: exceeded max depth of 10000"},

	{"audit without a folder", rest + "audit:\n  level: all\n", "f:3: audit: there is no audit log without audit.dir"},
	{"audit", rest + "audit:\n  dir: a\n  level: writ\n  keys: hashed\n  buffer: 1KiB\n  keep_for: 1s\n  sync: 0s\n",
		"f:5: audit.level: \"writ\" is not one of none, admin, write, all (did you mean \"write\"?)\nf:6: audit.keys: hashed needs audit.secret: without one, names are found again by hashing likely ones\n" +
			"f:7: audit.buffer: 1KiB is out of range (1MiB to 1GiB)\nf:8: audit.keep_for: 1s is out of range (1h to 1000000h)"},
	{"audit secret", rest + "audit: {dir: a, secret: short}\n", "f:3: audit.secret: is shorter than 16 characters"},

	// Keys and types.
	{"unknown key", rest + "limits:\n  blk: 1MiB\nlisen: x\nfoo: 1\n",
		"f:4: limits.blk: unknown key (did you mean \"bulk\"?)\nf:5: lisen: unknown key (did you mean \"listen\"?)\nf:6: foo: unknown key"},
	{"odd key", rest + "\"a\\nb\": 1\n\"\": 2\n", "f:3: \"a\\nb\": unknown key\nf:4: \"\": unknown key"},
	{"key twice", rest + "loops: 1\nlimits: {bulk: 1MiB, bulk: 2MiB}\nloops: 2\n",
		"f:4: limits.bulk: given twice (first on line 4)\nf:5: loops: given twice (first on line 3)"},
	{"tenant twice", acme + "    databases: 1\n  acme:\n    databases: 2\n", "f:5: tenants.acme: given twice (first on line 3)"},
	{"scalar for mapping", rest + "limits: 12\n", "f:3: limits: expected a mapping of keys to values, got a single value"},
	{"list for mapping", upstream + "tenants: [a]\n", "f:2: tenants: expected a mapping of keys to values, got a list"},
	{"scalar for list", acme + "    users: {default: {sha256: " + hashA + "}}\n",
		"f:4: tenants.acme.users.default.sha256: expected a list, got a single value"},
	{"mapping for scalar", rest + "listen: {a: b}\n", "f:3: listen: expected a single value, got a mapping"},
	{"list for size", rest + "limits: {bulk: [1]}\n", "f:3: limits.bulk: expected a single value, got a list"},
	{"not a number", rest + "loops: many\n", `f:3: loops: "many" is not a whole number`},
	{"fraction", rest + "loops: 1.5\n", `f:3: loops: "1.5" is not a whole number`},
	{"not a bool", acme + "    suspended: maybe\n    hash_tag: 1\n",
		"f:4: tenants.acme.suspended: \"maybe\" is not true or false\nf:5: tenants.acme.hash_tag: \"1\" is not true or false"},
	{"size", rest + "limits:\n  bulk: 12XB\n", `f:4: limits.bulk: "12XB" is not a size (examples: 65536, 512MB, 1GiB)`},
	{"negative size", rest + "limits:\n  bulk: -1\n", `f:4: limits.bulk: "-1" is not a size (examples: 65536, 512MB, 1GiB)`},
	{"size too large", rest + "limits: {request: 99999999999TiB}\n", `f:3: limits.request: "99999999999TiB" is too large for a size`},
	{"duration", rest + "shutdown_timeout: 30\n", `f:3: shutdown_timeout: "30" is not a duration (examples: 500ms, 30s, 5m, 1h30m)`},
	{"long value", rest + "loops: " + strings.Repeat("x", 100) + "\n",
		`f:3: loops: "` + strings.Repeat("x", 60) + `"... is not a whole number`},

	// Bursts and classes that limit nothing.
	{"burst without rate", rest + "plans: {a: {ops_burst: 1, bytes_in_per_second: 1, bytes_in_burst: 1, bytes_out_burst: 1}}\n",
		"f:3: plans.a.ops_burst: limits nothing without ops_per_second\nf:3: plans.a.bytes_out_burst: limits nothing without bytes_out_per_second"},
	{"burst of the plan's rate", acme + "    plan: a\n    quotas: {ops_burst: 1, bytes_in_burst: 1}\nplans: {a: {ops_per_second: 1}}\n",
		"f:5: tenants.acme.quotas.bytes_in_burst: limits nothing without bytes_in_per_second"},
	{"burst of a user", acme + "    plan: a\n    users: {default: {sha256: [" + hashA + "], quotas: {ops_burst: 1}}}\nplans: {a: {ops_per_second: 1}}\n",
		"f:5: tenants.acme.users.default.quotas.ops_burst: limits nothing without ops_per_second"},
	{"class without rate", acme + "    plan: a\n    quotas: {classes: {read: {ops_burst: 1}, write: {}}}\nplans: {a: {classes: {read: {ops_per_second: 1}}}}\n",
		"f:5: tenants.acme.quotas.classes.read: limits nothing without ops_per_second\nf:5: tenants.acme.quotas.classes.write: limits nothing without ops_per_second"},

	// Variables.
	{"unset variable", "listen: ${LISTEN}\n" + rest, "f:1: listen: the environment variable LISTEN is not set and has no default"},
	{"bad variable", "\nlisten: ${1}\n" + rest, "f:2: listen: a variable is written ${NAME} or ${NAME:-default}; write $${ for a literal ${"},
	{"bad value of a variable", rest + "limits: {bulk: \"${SECRET}\"}\n",
		`f:3: limits.bulk: "${SECRET}" (expanded) is not a size (examples: 65536, 512MB, 1GiB)`},
	{"bad address in a variable", rest + "listen: ${SECRET}\n",
		`f:3: listen: "${SECRET}" (expanded) is not host:port (examples: 127.0.0.1:6379, [::1]:6379)`},

	// Limits.
	{"loops", rest + "loops: -1\n", "f:3: loops: -1 is out of range (0 to 256)"},
	{"announce", rest + "announce: nohost\ncluster_facade: true\n", `f:3: announce: "nohost" is not host:port (examples: 127.0.0.1:6379, [::1]:6379)`},
	{"announce port", rest + "announce: a:0\ncluster_facade: true\n", `f:3: announce: "a:0" has a bad port (1 to 65535)`},
	{"announce alone", rest + "announce: a:1\n", "f:3: announce: nobody is told of it without cluster_facade: true"},
	{"cluster_facade", rest + "cluster_facade: maybe\n", `f:3: cluster_facade: "maybe" is not true or false`},
	{"shutdown_timeout", rest + "shutdown_timeout: 2h\n", "f:3: shutdown_timeout: 2h is out of range (0s to 1h)"},
	{"limits", rest + "limits:\n  clients: 0\n  bulk: 1GiB\n  request: 3GiB\n  output_buffer: 1kB\n  auth_timeout: 0s\n",
		"f:4: limits.clients: 0 is out of range (1 to 1000000)\n" +
			"f:5: limits.bulk: 1GiB is out of range (1KiB to 512MiB)\n" +
			"f:6: limits.request: 3GiB is out of range (1KiB to 2GiB)\n" +
			"f:7: limits.output_buffer: 1kB is out of range (1MiB to 1TiB)\n" +
			"f:8: limits.auth_timeout: 0s is out of range (10ms to 1h)"},
	{"request below bulk", rest + "limits:\n  bulk: 2MiB\n  request: 1MiB\n",
		"f:5: limits.request: 1MiB is less than limits.bulk (2MiB), so an argument of that length could never arrive"},
	{"request below default bulk", rest + "limits: {request: 1MiB}\n",
		"f:3: limits.request: 1MiB is less than limits.bulk (512MiB), so an argument of that length could never arrive"},

	// Addresses.
	{"listen", rest + "listen: 6380\n", `f:3: listen: "6380" is not host:port (examples: 127.0.0.1:6379, [::1]:6379)`},
	{"listen empty", rest + "listen: ''\n", `f:3: listen: "" is not host:port (examples: 127.0.0.1:6379, [::1]:6379)`},
	{"listen host", rest + "listen: :6380\n", `f:3: listen: ":6380" has no host (0.0.0.0 and [::] listen on every interface)`},
	{"listen bad host", rest + "listen: a b:6380\n", `f:3: listen: "a b:6380" has a bad host`},
	{"listen port", rest + "listen: localhost:65536\n", `f:3: listen: "localhost:65536" has a bad port (0 to 65535)`},
	{"listen port name", rest + "listen: localhost:redis\n", `f:3: listen: "localhost:redis" has a bad port (0 to 65535)`},
	{"unix socket", rest + "listen: unix:/run/x\n", `f:3: listen: expected host:port, without scheme, user or path`},
	{"admin is listen", rest + "admin:\n  listen: 127.0.0.1:6380\n",
		`f:4: admin.listen: is the address that clients connect to (listen: "127.0.0.1:6380")`},
	{"admin overlaps listen", rest + "listen: 10.0.0.1:7000\nadmin: {listen: '[::]:7000'}\n",
		`f:4: admin.listen: is the address that clients connect to (listen: "10.0.0.1:7000")`},
	{"admin is listen by name", rest + "admin: {listen: localhost:6380}\n",
		`f:3: admin.listen: is the address that clients connect to (listen: "127.0.0.1:6380")`},

	// Upstream.
	{"mode", "upstream:\n  mode: Cluster\n" + tenants,
		`f:2: upstream.mode: "Cluster" is not one of embedded, standalone, sentinel, cluster (did you mean "cluster"?)`},
	{"sentinel", "upstream:\n  mode: sentinel\n" + tenants, "f:2: upstream.mode: sentinel is not supported yet"},
	{"cluster", "upstream:\n  addresses: [a:1, b:2]\n  mode: cluster\n" + tenants, "f:3: upstream.mode: cluster is not supported yet"},
	{"no address", "listen: 127.0.0.1:1\nupstream:\n  mode: standalone\n" + tenants, "f:2: upstream.addresses: " + addressMissing},
	{"two addresses", "upstream:\n  addresses:\n    - a:1\n    - b:2\n" + tenants,
		"f:2: upstream.addresses: has 2 addresses, but mode standalone takes one"},
	{"upstream port 0", "upstream: {addresses: ['a:0']}\n" + tenants, `f:1: upstream.addresses[0]: "a:0" has a bad port (1 to 65535)`},
	{"url with password", "upstream:\n  addresses:\n  - redis://:hunter2@a:6379\n" + tenants,
		"f:3: upstream.addresses[0]: expected host:port, without scheme, user or path"},
	{"empty address", "upstream: {addresses: [~]}\n" + tenants,
		`f:1: upstream.addresses[0]: "" is not host:port (examples: 127.0.0.1:6379, [::1]:6379)`},
	{"embedded with address", "upstream:\n  mode: embedded\n  addresses: [a:1]\n  password: hunter2\n" + tenants,
		"f:3: upstream.addresses: the embedded upstream has none; for a real one say mode: standalone\n" +
			"f:4: upstream.password: the embedded upstream has none; for a real one say mode: standalone"},
	{"username alone", "upstream:\n  addresses: [a:1]\n  username: u\n" + tenants, "f:3: upstream.username: needs upstream.password with it"},
	{"upstream timeouts", "upstream:\n  mode: embedded\n  timeout: 1ms\n  connect_timeout: 20m\n" + tenants,
		"f:3: upstream.timeout: 1ms is out of range (10ms to 1h)\nf:4: upstream.connect_timeout: 20m is out of range (10ms to 10m)"},

	// What must not be ignored in silence.
	{"acl", acme + "    users:\n      default: {sha256: [" + hashA + "], acl: +@raed ~*}\n",
		`f:5: tenants.acme.users.default.acl: "+@raed": there is no such category (ACL CAT lists them)`},
	{"acl with a password", acme + "    users: {u: {acl: '+@all >hunter2'}}\n",
		"f:4: tenants.acme.users.u.acl: passwords are not for here: users' secrets stand in sha256 and argon2id"},
	{"acl empty", acme + "    users: {u: {acl: ''}}\n", "f:4: tenants.acme.users.u.acl: " + noACL},
	{"acl null", acme + "    users: {u: {acl: }}\n", "f:4: tenants.acme.users.u.acl: " + noACL},

	// Admin.
	{"tokens", rest + "admin:\n  tokens:\n    - {name: a, role: root, sha256: " + hashB + "}\n    - {role: viewer, sha256: hunter2}\n" +
		"    - {name: a, sha256: " + hashB + "}\n    - {name: b, role: viewer}\n",
		"f:5: admin.tokens[0].role: \"root\" is not one of viewer, operator, admin\n" +
			"f:6: admin.tokens[1]: the token has no name\n" +
			"f:6: admin.tokens[1].sha256: " + notSHA256 + "\n" +
			"f:7: admin.tokens[2].name: \"a\" is also the name of admin.tokens[0]\n" +
			"f:7: admin.tokens[2]: the token has no role (viewer, operator or admin)\n" +
			"f:7: admin.tokens[2].sha256: the same secret as that of the admin token \"a\" (f:5)\n" +
			"f:8: admin.tokens[3].sha256: " + notSHA256},
	{"token of no tenant", rest + "admin:\n  tokens:\n    - {name: a, role: viewer, sha256: " + hashB + ", tenant: ''}\n" +
		"    - {name: b, role: viewer, sha256: " + strings.Repeat("c", 64) + ", tenant: ../x}\n",
		"f:5: admin.tokens[0].tenant: is empty, so that the token would be for all tenants; leave it out if that is meant\n" +
			"f:6: admin.tokens[1].tenant: \"../x\" is not a tenant id (" + tenantIDGrammar + ")"},
	{"admin limits", rest + "admin: {requests_per_second: 0, request_size: 1B}\n",
		"f:3: admin.requests_per_second: 0 is out of range (1 to 100000)\nf:3: admin.request_size: 1B is out of range (1KiB to 16MiB)"},
	{"token is a tenant's secret", rest + "admin:\n  tokens: [{name: ops, role: admin, sha256: " + hashA + "}]\n",
		`f:2: tenants.acme.users.default.sha256[0]: the same secret as that of the admin token "ops" (f:4)`},

	// Plans and quotas.
	{"interval", rest + "accounting: {interval: 1ms}\n", `f:3: accounting.interval: 1ms is out of range (1s to 24h)`},
	{"plan", acme + "    plan: fre\nplans: {free: {keys: 1}}\n", `f:4: tenants.acme.plan: there is no plan "fre" (did you mean "free"?)`},
	{"plan name", rest + "plans: {Free Plan: {keys: 1}}\n",
		`f:3: plans."Free Plan": "Free Plan" is not a plan's name (1 to 63 of a-z 0-9 _ -, the first a letter or digit)`},
	{"quota", rest + "plans:\n  p:\n    memory: 0\n    keys: -1\n    opsPerSecond: 1\n    connections: x\n",
		"f:5: plans.p.memory: must be at least 1; for no limit leave it out\n" +
			"f:6: plans.p.keys: must be at least 1; for no limit leave it out\n" +
			"f:7: plans.p.opsPerSecond: unknown key (did you mean \"ops_per_second\"?)\n" +
			"f:8: plans.p.connections: \"x\" is not a whole number"},
	{"tenant quota", acme + "    quotas: {memory: lots}\n",
		`f:4: tenants.acme.quotas.memory: "lots" is not a size (examples: 65536, 512MB, 1GiB)`},

	// Tenants and users.
	{"tenant id", upstream + "tenants:\n  Acme: {}\n  -a: {}\n  '': {}\n  a.b: {}\n  " + strings.Repeat("a", 64) + ": {}\n",
		"f:3: tenants.Acme: \"Acme\" is not a tenant id (" + tenantIDGrammar + ")\n" +
			"f:4: tenants.-a: \"-a\" is not a tenant id (" + tenantIDGrammar + ")\n" +
			"f:5: tenants.\"\": \"\" is not a tenant id (" + tenantIDGrammar + ")\n" +
			"f:6: tenants.\"a.b\": \"a.b\" is not a tenant id (" + tenantIDGrammar + ")\n" +
			"f:7: tenants." + strings.Repeat("a", 64) + ": \"" + strings.Repeat("a", 60) + "\"... is not a tenant id (" + tenantIDGrammar + ")"},
	{"tenant default", upstream + "tenants:\n  default: {}\n",
		`f:3: tenants.default: a tenant cannot be called "default": AUTH default <key> looks the key up among all tenants`},
	{"prefix clash", upstream + "tenants:\n  acme: {}\n  'acme:0': {}\n",
		"f:4: tenants.\"acme:0\": \"acme:0\" is not a tenant id (" + tenantIDGrammar + ")\n" +
			`f:4: tenants."acme:0": its keys begin with "t:acme:0:", so tenant "acme", whose keys begin with "t:acme:", would reach them`},
	{"prefix clash of hash tags", upstream + "tenants:\n  '{a}': {}\n  a: {hash_tag: true}\n",
		"f:3: tenants.\"{a}\": \"{a}\" is not a tenant id (" + tenantIDGrammar + ")\n" +
			`f:4: tenants.a: its keys begin with "t:{a}:", so tenant "{a}", whose keys begin with "t:{a}:", would reach them`},
	{"user name", acme + "    users:\n      a.b: {}\n", `f:5: tenants.acme.users."a.b": "a.b" is not a user name (` + userNameGrammar + ")"},
	{"databases", acme + "    databases: 0\n", "f:4: tenants.acme.databases: 0 is out of range (1 to 1024)"},
	{"compression", acme + "    compression: {algorithm: gzip, min_size: 1GiB}\n",
		"f:4: tenants.acme.compression.algorithm: \"gzip\" is not one of none, lz4, s2, zstd\n" +
			"f:4: tenants.acme.compression.min_size: 1GiB is out of range (0B to 512MiB)"},
	{"compression by nothing", acme + "    compression: {min_size: 1KiB}\n",
		"f:4: tenants.acme.compression: has no algorithm (none, lz4, s2 or zstd)"},
	{"compression, each key", acme + "    compression: {algorithm: lz4, level: 9, min_saving: 100, streams: 1, exclude: img, dictionaries: {min_size: 1GiB, size: 1}}\n",
		"f:4: tenants.acme.compression.level: \"9\" is not one of fastest, default, better, best\n" +
			"f:4: tenants.acme.compression.streams: \"1\" is not true or false\n" +
			"f:4: tenants.acme.compression.exclude: expected a list, got a single value\n" +
			"f:4: tenants.acme.compression.min_saving: 100 is out of range (0 to 90)\n" +
			"f:4: tenants.acme.compression.dictionaries.min_size: 1GiB is out of range (0B to 512MiB)\n" +
			"f:4: tenants.acme.compression.dictionaries.size: 1B is out of range (1KiB to 1MiB)"},
	{"compression, misspelt", acme + "    compression: {algorithm: zst, levl: best, dictionary: {enabled: true}}\n",
		"f:4: tenants.acme.compression.algorithm: \"zst\" is not one of none, lz4, s2, zstd (did you mean \"zstd\"?)\n" +
			"f:4: tenants.acme.compression.levl: unknown key (did you mean \"level\"?)\n" +
			"f:4: tenants.acme.compression.dictionary: unknown key"},
	{"dictionaries by nothing", acme + "    compression:\n      dictionaries: {enabled: true}\n",
		"f:4: tenants.acme.compression: has no algorithm (none, lz4, s2 or zstd)"},
	{"dictionaries without zstd", acme + "    compression:\n      algorithm: s2\n      dictionaries:\n        enabled: true\n",
		"f:7: tenants.acme.compression.dictionaries.enabled: only zstd has dictionaries, and the algorithm is s2"},
	{"patterns", acme + "    compression:\n      algorithm: zstd\n      exclude: ['a[b', 'c\\', '', 'd', '${SECRET}[', 'd', '[^]]', '[\\]]', '[\\]', '\\[']\n" +
		"      dictionaries: {patterns: [" + strings.Repeat("'x', ", 66) + "],\n        x: 1}\n",
		"f:6: tenants.acme.compression.exclude[0]: \"a[b\" has a [ without its ]; write \\[ for the character itself\n" +
			"f:6: tenants.acme.compression.exclude[1]: \"c\\\\\" ends in a \\ that has nothing to quote\n" +
			"f:6: tenants.acme.compression.exclude[2]: \"\" matches only the empty key\n" +
			"f:6: tenants.acme.compression.exclude[4]: \"${SECRET}[\" (expanded) has a [ without its ]; write \\[ for the character itself\n" +
			"f:6: tenants.acme.compression.exclude[5]: \"d\" stands there already, as the 4th\n" +
			"f:6: tenants.acme.compression.exclude[8]: \"[\\\\]\" has a [ without its ]; write \\[ for the character itself\n" +
			"f:7: tenants.acme.compression.dictionaries.patterns: has 66 patterns, but at most 64 are allowed\n" +
			"f:8: tenants.acme.compression.dictionaries.x: unknown key"},
	{"long pattern", acme + "    compression: {algorithm: lz4, exclude: [" + strings.Repeat("y", 513) + "]}\n",
		"f:4: tenants.acme.compression.exclude[0]: \"" + strings.Repeat("y", 60) + "\"... is longer than 512 bytes"},

	// Encryption.
	{"encryption", acme + "    encryption: {algorithm: aes, key: k}\n",
		"f:4: tenants.acme.encryption.algorithm: \"aes\" is not one of none, aes-256-gcm, chacha20-poly1305\n" +
			"f:4: tenants.acme.encryption.key: there is no key \"k\" in encryption_keys"},
	{"encryption without key", acme + "    encryption:\n      algorithm: aes-256-gcm\n",
		"f:4: tenants.acme.encryption: needs key, the name of an entry of encryption_keys"},
	{"encryption by nothing", acme + "    encryption:\n      key: k\nencryption_keys: {k: {env: K}}\n",
		"f:4: tenants.acme.encryption: has no algorithm (none, aes-256-gcm or chacha20-poly1305)"},
	{"encryption with an unknown key", acme + "    encryption:\n      algorithm: chacha20-poly1305\n      key: 2026-12\nencryption_keys: {2026-11: {env: K}}\n",
		`f:6: tenants.acme.encryption.key: there is no key "2026-12" in encryption_keys (did you mean "2026-11"?)`},
	{"key's name", rest + "encryption_keys:\n  a b: {env: A}\n  '': {env: B}\n  a: {env: C}\n  a: {env: D}\n",
		"f:4: encryption_keys.\"a b\": \"a b\" is not a key's name (" + keyNameGrammar + ")\n" +
			"f:5: encryption_keys.\"\": \"\" is not a key's name (" + keyNameGrammar + ")\n" +
			"f:7: encryption_keys.a: given twice (first on line 6)"},
	{"keys of the same id", rest + "encryption_keys:\n  k153629: {env: A}\n  k164064: {env: B}\n",
		"f:5: encryption_keys.k164064: could not be told from the key \"k153629\" in a stored value; choose another name"},
	{"key from nowhere", rest + "encryption_keys:\n  a:\n  b: {}\n  c: {fil: x}\n  d: {file: ''}\n  e: {command: []}\n  f: {env: }\n  g: hunter2\n",
		"f:4: encryption_keys.a: does not say where the key comes from (file, env or command)\n" +
			"f:5: encryption_keys.b: does not say where the key comes from (file, env or command)\n" +
			"f:6: encryption_keys.c.fil: unknown key (did you mean \"file\"?)\n" +
			"f:6: encryption_keys.c: does not say where the key comes from (file, env or command)\n" +
			"f:7: encryption_keys.d.file: is empty\n" +
			"f:8: encryption_keys.e.command: is empty\n" +
			"f:9: encryption_keys.f: does not say where the key comes from (file, env or command)\n" +
			"f:10: encryption_keys.g: expected a mapping of keys to values, got a single value"},
	{"key from two", rest + "encryption_keys:\n  a: {file: x, env: Y}\n  b: {env: Z, command: [z]}\n",
		"f:4: encryption_keys.a: has both file and env; a key comes from one of them\n" +
			"f:5: encryption_keys.b: has both env and command; a key comes from one of them"},
	{"key in the file itself", rest + "encryption_keys:\n  a: {file: " + hashA + "}\n  aa: {file: AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=}\n  b: {env: hunter2=}\n  c: {command: ['', x]}\n  d: {command: cat}\n",
		"f:4: encryption_keys.a.file: is not the name of a file but looks like the key itself, which must not stand here\n" +
			"f:5: encryption_keys.aa.file: is not the name of a file but looks like the key itself, which must not stand here\n" +
			"f:6: encryption_keys.b.env: is not the name of an environment variable\n" +
			"f:7: encryption_keys.c.command[0]: is empty, but it is the program to run\n" +
			"f:8: encryption_keys.d.command: expected a list, got a single value"},
	{"usage", rest + "usage:\n  flush: 1ms\n  grace: 48h\n  retention: 1h\n  spol: x\n",
		"f:4: usage.flush: 1ms is out of range (100ms to 10m)\n" +
			"f:5: usage.grace: 48h is out of range (1s to 24h)\n" +
			"f:6: usage.retention: 1h is less than a day (24h); 0s keeps usage for ever\n" +
			"f:7: usage.spol: unknown key (did you mean \"spool\"?)"},
	{"usage closed too early", rest + "usage: {flush: 10s, grace: 15s}\n",
		"f:3: usage.grace: 15s is less than two times usage.flush (10s), so hours would be closed before they are reported"},
	{"billing", rest + "usage: {flush: 0s}\nbilling:\n  currency: Euro\n  digits: 10\n",
		"f:4: billing: there are no bills without a ledger (usage.flush: 0s)\n" +
			"f:5: billing.currency: \"Euro\" is not a currency (examples: EUR, USD)\n" +
			"f:6: billing.digits: 10 is out of range (-1 to 9)"},
	{"prices", rest + "billing: {currency: EUR}\nplans:\n  p:\n    prices:\n      operation: 1\n      memory: 1e3\n      egress: -1\n      base: 0.00\n" +
		"    included:\n      base: 1\n      ingress: 5\n",
		"f:7: plans.p.prices.operation: \"operation\" is not a unit (" + strings.Join(Units, ", ") + ") (did you mean \"operations\"?)\n" +
			"f:8: plans.p.prices.memory: \"1e3\" is not an amount (examples: 12, 0.0035; up to 15 digits before and 12 after the point)\n" +
			"f:9: plans.p.prices.egress: \"-1\" is not an amount (examples: 12, 0.0035; up to 15 digits before and 12 after the point)\n" +
			"f:12: plans.p.included.base: the base price is for the period, of which nothing can be included\n" +
			"f:13: plans.p.included.ingress: there is no price for it, so it costs nothing anyway"},
	{"prices without currency", rest + "plans:\n  p:\n    prices: {base: 1}\n", "f:5: plans.p.prices: there are no bills without billing.currency"},
	{"tags", acme + "    tags:\n      cost center: a\n      empty: ''\n      list: [a]\n      long: " + strings.Repeat("x", 257) + "\n      odd: \"a\\tb\"\n",
		"f:5: tenants.acme.tags.\"cost center\": \"cost center\" is not a tag's name (1 to 63 of A-Z a-z 0-9 _ . -, the first a letter)\n" +
			"f:6: tenants.acme.tags.empty: the tag has no value\n" +
			"f:7: tenants.acme.tags.list: expected a single value, got a list\n" +
			"f:8: tenants.acme.tags.long: the tag's value is longer than 256 bytes\n" +
			"f:9: tenants.acme.tags.odd: the tag's value has a control character"},
	{"scripts", acme + "    scripts: on\n", `f:4: tenants.acme.scripts: "on" is not one of isolated, trusted, off`},

	// Secrets.
	{"sha256", acme + "    users:\n      default:\n        sha256:\n          - hunter2\n          - " + HashSecret("") + "\n          -\n",
		"f:7: tenants.acme.users.default.sha256[0]: " + notSHA256 + "\n" +
			"f:8: tenants.acme.users.default.sha256[1]: is the hash of an empty secret\n" +
			"f:9: tenants.acme.users.default.sha256[2]: " + notSHA256},
	{"argon2id", acme + "    users:\n      default:\n        argon2id:\n          - hunter2\n" +
		"          - $argon2id$v=19$m=9999999,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4\n",
		"f:7: tenants.acme.users.default.argon2id[0]: " + errNotArgon2id.Error() + "\n" +
			"f:8: tenants.acme.users.default.argon2id[1]: " + errArgonCost.Error()},
	{"secret twice", acme + "    users:\n      default: {sha256: [" + hashA + "]}\n      other: {sha256: [" + hashB + ", " + hashA + "]}\n" +
		"  globex:\n    users:\n      default: {sha256: [" + strings.ToUpper(hashB) + "]}\n",
		"f:6: tenants.acme.users.other.sha256[1]: the same secret as that of acme.default (f:5)\n" +
			"f:9: tenants.globex.users.default.sha256[0]: the same secret as that of acme.other (f:6)"},
	{"secret twice in one list", acme + "    users: {default: {sha256: [" + hashA + ", " + hashA + "]}}\n",
		"f:4: tenants.acme.users.default.sha256[1]: the same secret as that of acme.default (f:4)"},
}

func TestErrors(t *testing.T) {
	env := func(name string) (string, bool) { return "hunter2", name == "SECRET" }
	for _, c := range errorCases {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := Parse("f", []byte(c.file), env)
			if err == nil {
				t.Fatalf("accepted: %+v", got)
			}
			if got != nil {
				t.Error("a configuration and an error")
			}
			sameLines(t, strings.Split(err.Error(), "\n"), strings.Split(c.want, "\n")...)
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("a secret is in the message")
			}
		})
	}
}
