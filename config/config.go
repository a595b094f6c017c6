// Package config says what riptide-proxy can be told: the schema with its
// defaults, and the one way from a file to a checked value.
//
// A Config that Load or Parse returned is complete (no field still needs a
// default) and consistent, and nothing changes it afterwards: it is shared
// between loops without a lock, and a new configuration is a new Config.
// Whatever is wrong with a file is reported in one go, each problem with its
// file and line, because an operator who repairs a file at night should not
// have to discover its mistakes one by one.
//
// The package imports nothing else of the project, so that everything else may
// import it; but for the grammar of ACL rules, which knows the command table alone.
package config

import "time"

// Config is the whole configuration of one proxy process.
type Config struct {
	// Listen is where clients connect in plain text, host:port.
	// The default, 127.0.0.1:6380, is reachable from this machine only; port 0
	// takes any free port. The word none: nowhere; then there are TLS or Unix.
	Listen string `yaml:"listen"`

	// TLS is the encrypted listener.
	//
	// Nil if absent.
	TLS *TLS `yaml:"tls"`

	// Unix is the listener on a unix socket. Nil if absent.
	Unix *Unix `yaml:"unix"`

	ProxyProtocol ProxyProtocol `yaml:"proxy_protocol"`

	// Loops is the number of event loops. 0, the default, leaves the choice to
	// the proxy, which knows the cores.
	Loops int `yaml:"loops"`

	// ShutdownTimeout bounds how long a stopping proxy answers what is in
	// flight. Default 30s; 0s closes at once.
	ShutdownTimeout Duration `yaml:"shutdown_timeout"`

	// StateDir is a folder for what this process wants to know again after a restart:
	// checkpoints, usage that is not reported yet, the file by which `riptide-proxy upgrade`
	// finds it. No two proxies may share one. A relative path starts at the folder of the configuration file.
	// Empty, the default: nothing is kept.
	StateDir string `yaml:"state_dir"`

	Checkpoint Checkpoint `yaml:"checkpoint"`

	Limits   Limits   `yaml:"limits"`
	Admin    Admin    `yaml:"admin"`
	Upstream Upstream `yaml:"upstream"`

	// ClusterFacade shows every tenant a cluster of one node that has all the
	// slots, for clients that speak to clusters only. Default false: a server
	// that is not in cluster mode.
	ClusterFacade bool `yaml:"cluster_facade"`

	// Announce is the host:port at which that node says it is to be found. By
	// default it is the address that the client has connected to.
	Announce string `yaml:"announce"`

	// FleetSecret is what the passwords follow from under which the upstream runs
	// tenants' scripts. All proxies of one upstream must have the same. Empty, the default: it
	// follows from the upstream's username and password.
	FleetSecret Password `yaml:"fleet_secret"`

	JWT JWT `yaml:"jwt"`

	// EncryptionKeys are the master keys for tenants' values, by name. Keys that no tenant
	// writes with any more stay here as long as there may be values written with them.
	EncryptionKeys map[string]*MasterKey `yaml:"encryption_keys"`

	// Plans are named sets of quotas which tenants refer to.
	Plans map[string]*Plan `yaml:"plans"`

	Accounting Accounting `yaml:"accounting"`

	Usage   Usage   `yaml:"usage"`
	Billing Billing `yaml:"billing"`

	Audit   Audit   `yaml:"audit"`
	Log     Log     `yaml:"log"`
	Tracing Tracing `yaml:"tracing"`
	HotKeys HotKeys `yaml:"hot_keys"`

	// TenantsDir names a folder with one file <tenant>.yaml for each tenant, so
	// that a program can add and remove tenants without editing a shared file.
	// A relative path starts at the folder of the configuration file.
	//
	// Load has already merged those tenants into Tenants.
	TenantsDir string `yaml:"tenants_dir"`

	// Tenants by id, from the file itself and from TenantsDir.
	Tenants map[string]*Tenant `yaml:"tenants"`
}

// Limits protect the proxy process from its clients. They hold per process,
// whatever tenants may do.
type Limits struct {
	// Clients is how many client connections may be open. Default 10000.
	Clients int `yaml:"clients"`

	// Bulk is the longest single argument of a command. Default and maximum
	// 512MiB, which is where Redis itself stops.
	Bulk Size `yaml:"bulk"`

	// Request is the longest whole command, all arguments together. At least
	// Bulk, at most 2GiB; default 1GiB.
	Request Size `yaml:"request"`

	// OutputBuffer is how many bytes of replies may wait for a client that does
	// not read them. At least 1MiB; default 64MiB.
	OutputBuffer Size `yaml:"output_buffer"`

	// AuthTimeout closes a connection that has not logged in by then, so that
	// strangers cannot hold connections for nothing. Default 60s.
	AuthTimeout Duration `yaml:"auth_timeout"`

	// Fair has the tenants of an event loop take turns by weight at what the upstream
	// is given. Default true; false is for comparison.
	Fair bool `yaml:"fair"`
}

// Upstream says where the data is kept.
type Upstream struct {
	// Mode has to be chosen in a file when Addresses are absent. Default standalone.
	Mode Mode `yaml:"mode"`

	// Addresses, each host:port, or unix: and the path of a socket. One in standalone mode, none in
	// embedded mode.
	Addresses []string `yaml:"addresses"`

	// Username and Password log the proxy in. Both empty: no AUTH is sent. A
	// password alone is the one of the upstream's default user.
	Username string   `yaml:"username"`
	Password Password `yaml:"password"`

	// TLS encrypts the connections. Nil if absent.
	TLS *UpstreamTLS `yaml:"tls"`

	// ConnectTimeout bounds one attempt to connect and log in. Default 3s, which
	// outlasts one lost SYN (sent again after 1s).
	ConnectTimeout Duration `yaml:"connect_timeout"`

	// Timeout is how long an upstream that owes replies may send nothing at all
	// before its connection counts as lost. Default 10s, which outlasts the 5s after which a
	// server that a script holds up says so itself.
	Timeout Duration `yaml:"timeout"`

	// SubscriberConnections is how many clients of this process that have subscribed
	// may have a connection to the upstream of their own. All others share one for each
	// loop. While all have their own, what PUBLISH counts is exact over all proxies of
	// an upstream; those who share are counted exactly by their own proxy only. 0: all share.
	// Absent, or -1: a quarter of the connections that clients may have of their own.
	SubscriberConnections int `yaml:"subscriber_connections"`
}

// Default is the configuration of an empty file: every default, no tenant. It
// would not pass the checks, which ask for a tenant and for an upstream.
func Default() *Config {
	return &Config{
		Listen:          "127.0.0.1:6380",
		ShutdownTimeout: Duration(30 * time.Second),
		Limits: Limits{
			Clients:      10000,
			Bulk:         512 * MiB,
			Request:      1 * GiB,
			OutputBuffer: 64 * MiB,
			Fair:         true,
			AuthTimeout:  Duration(60 * time.Second),
		},
		Admin: defaultAdmin(),
		Upstream: Upstream{
			Mode:           Standalone,
			ConnectTimeout: Duration(3 * time.Second),
			Timeout:        Duration(10 * time.Second),

			SubscriberConnections: -1,
		},
		ProxyProtocol:  ProxyProtocol{Timeout: Duration(5 * time.Second)},
		Checkpoint:     defaultCheckpoint(),
		EncryptionKeys: map[string]*MasterKey{},

		Accounting: Accounting{Unreachable: Share, CommandsPerSecond: 5000, Interval: Duration(time.Minute)},
		Usage:      defaultUsage(),
		Billing:    Billing{Digits: -1},
		Audit:      defaultAudit(),
		Log:        defaultLog(),
		Tracing:    defaultTracing(),
		HotKeys:    HotKeys{Enabled: true},

		Plans:   map[string]*Plan{},
		Tenants: map[string]*Tenant{},
	}
}
