package command

// Route says where the proxy runs a command.
type Route uint8

const (
	Refused Route = iota // not for tenants; the zero value, so that a careless row refuses rather than lets through
	Shared               // one round trip on a connection shared with other sessions
	Pinned               // on an upstream connection of the session's own, since the command leaves state on it
	Local                // answered by the proxy at once, without asking the upstream
	Slow                 // several round trips or real work, off the loop
)

func (r Route) String() string {
	return [...]string{"refused", "shared", "pinned", "local", "slow"}[r]
}

// Reasons for refusing that several rows share.
const (
	whyFunctions = "functions belong to the whole server"
	whyFieldSets = "its field sets have names that all tenants would share"
	whyBless     = "it decides what the whole server may evict"
)

// Handler names the code in package proxy that answers a Local or Slow command, or that changes the request or the
// reply of a Shared one. It is an enumeration and not a function since imports point the other way.
type Handler uint8

const (
	NoHandler Handler = iota

	// Local.
	HandleAuth
	HandleHello
	HandlePing
	HandleEcho
	HandleSelect
	HandleQuit
	HandleReset
	HandleClientID
	HandleClientSetName
	HandleClientGetName
	HandleClientSetInfo
	HandleNoCluster // an error where the server is not in cluster mode, and OK where it is

	// Local, about the tenant's server and its clients.
	HandleACLCat
	HandleACLDryRun
	HandleACLGenPass
	HandleACLGetUser
	HandleACLLog
	HandleACLWhoAmI
	HandleClientCapa
	HandleClientInfo
	HandleClientKill
	HandleClientList
	HandleClientNoEvict
	HandleClientNoTouch
	HandleClientPause
	HandleClientUnpause
	HandleClusterInfo
	HandleClusterKeySlot
	HandleClusterKeysInSlot
	HandleClusterLinks
	HandleClusterMyID
	HandleClusterMyShardID
	HandleClusterNodes
	HandleClusterReplicas
	HandleClusterShards
	HandleClusterSlots
	HandleCommandLogGet
	HandleCommandLogLen
	HandleCommandLogReset
	HandleConfigGet
	HandleConfigSet
	HandleInfo
	HandleLastSave
	HandleLatencyDoctor
	HandleLatencyGraph
	HandleLatencyHistogram
	HandleLatencyHistory
	HandleLatencyLatest
	HandleLatencyReset
	HandleMemoryDoctor
	HandleMemoryStats
	HandleMonitor
	HandleRole
	HandleSlowLogGet
	HandleSlowLogLen
	HandleSlowLogReset
	HandleClientReply
	HandleClientUnblock
	HandleClientGetRedir
	HandlePubSubNumPat

	// Pinned.
	HandleMulti
	HandleExec
	HandleDiscard
	HandleWatch
	HandleUnwatch
	HandleWait // WAIT and WAITAOF, for what the session wrote on other connections
	HandleSubscribe
	HandleUnsubscribe
	HandlePSubscribe
	HandlePUnsubscribe
	HandleSSubscribe
	HandleSUnsubscribe
	HandleClientTracking
	HandleClientCaching
	HandleClientTrackingInfo

	// Slow.
	HandleKeys
	HandleScan
	HandleRandomKey
	HandleDBSize
	HandleFlushDB
	HandleFlushAll

	HandleScriptExists
	HandleScriptFlush
	HandleScriptKill
	HandleScriptLoad
	HandleScriptShow

	// Shared, on the connection for scripts.
	HandleEval
	HandleEvalSHA
	HandleFCall

	// Shared, with the request or the reply changed.
	HandleCommand        // COMMAND: hides the refused commands
	HandleCommandCount   // COMMAND COUNT
	HandleCommandDocs    // COMMAND DOCS
	HandleCommandInfo    // COMMAND INFO
	HandleCommandList    // COMMAND LIST
	HandleCopy           // COPY with DB: the destination is in another database of the tenant
	HandleLolwut         // LOLWUT, without the arguments that size the picture
	HandleRestore        // RESTORE: only where the upstream checks what it is given
	HandlePublish        // PUBLISH, whose reply counts clients that share connections
	HandleSPublish       // SPUBLISH
	HandlePubSubNumSub   // PUBSUB NUMSUB, likewise
	HandlePubSubShardNum // PUBSUB SHARDNUMSUB
	HandlePubSubChannels // PUBSUB CHANNELS and SHARDCHANNELS: without a pattern, those of the tenant
	HandleMove           // MOVE: a rename into another database of the tenant
	HandleFunctionList   // FUNCTION LIST, without the code

	HandlerCount // not a handler: the size of an array that has one entry per handler
)

// Split says how a cluster distributes a command over its nodes, as the request policy that COMMAND reports.
type Split uint8

const (
	SplitNone      Split = iota // goes to the one node that has its keys, or to any
	SplitByKeys                 // each node gets the part of the arguments that it has the keys of
	SplitAllShards              // every master gets it
	SplitAllNodes               // every node gets it, replicas too
	SplitSpecial                // needs a handler of its own
)

// splitNames lists the policies in the order of the constants, spelled as COMMAND spells them.
var splitNames = []string{"", "multi_shard", "all_shards", "all_nodes", "special"}

func (s Split) String() string { return splitNames[s] }

// Join says how the answers of several nodes become one, as the response policy that COMMAND reports.
type Join uint8

const (
	JoinDefault      Join = iota // without keys: the elements of all answers; with keys: one array in the keys' order
	JoinOneSucceeded             // the first that is no error
	JoinAllSucceeded             // any answer, unless one of them is an error
	JoinAnd                      // elementwise logical and
	JoinOr                       // elementwise logical or
	JoinMin
	JoinMax
	JoinSum
	JoinSpecial // needs a handler of its own
)

// joinNames lists the policies in the order of the constants, spelled as COMMAND spells them.
var joinNames = []string{
	"", "one_succeeded", "all_succeeded", "agg_logical_and", "agg_logical_or", "agg_min", "agg_max", "agg_sum",
	"special",
}

func (j Join) String() string { return joinNames[j] }
