package proxy

import (
	"riptide-proxy/command"
	"riptide-proxy/namespace"
)

// handler is the code behind a row of the command table that is not simply
// passed on. Exactly one of run and slow is set, or only reply.
type handler struct {
	// idle: everything before must be answered first.
	idle bool
	// unpinned: of a Pinned row, one that needs no connection of the session's own as long as
	// there is none.
	unpinned bool
	// tx takes the command between MULTI and EXEC, where it is not simply
	// queued.
	tx func(s *session, cmd *command.Command, r *namespace.Request)
	// alone: it can not be in a transaction.
	alone bool
	// wait reports whether the command has to wait until everything before is
	// answered, for those of which not all have to.
	wait func(s *session, r *namespace.Request) bool
	// script: it runs on the connection for scripts.
	script bool
	// subscribes is 1 more than the kind of subscriptions that it begins; 0: it does not.
	subscribes int
	// publishes: it may run on the hub.
	publishes bool
	// run answers at once, or sends to the upstream.
	run func(s *session, cmd *command.Command, r *namespace.Request)
	// slow answers from a goroutine of its own; idle goes with it.
	slow slowFunc
	// reply changes what the upstream answered. It may return what it was
	// given, or bytes that are valid until the next reply.
	reply func(s *session, cmd *command.Command, reply []byte) []byte
	// secrets tells which of the arguments nobody may see, neither in MONITOR
	// nor in the slow log.
	secrets func(args command.Args, i int) bool
}

// handlers by command.Handler. It is filled in by init, since some of what it
// refers to looks into it.
var handlers [command.HandlerCount]handler

func init() {
	handlers = [command.HandlerCount]handler{
		command.HandleAuth:          {idle: true, run: auth, alone: true, secrets: authSecrets},
		command.HandleHello:         {idle: true, run: hello, alone: true, secrets: helloSecrets},
		command.HandleSelect:        {idle: true, run: selectDB, tx: selectInTx},
		command.HandleReset:         {idle: true, run: reset},
		command.HandlePing:          {run: ping},
		command.HandleEcho:          {run: echo},
		command.HandleQuit:          {run: quit},
		command.HandleNoCluster:     {run: facade(clusterOK)},
		command.HandleClientID:      {run: clientID},
		command.HandleClientSetName: {run: clientSetName},
		command.HandleClientGetName: {run: clientGetName},
		command.HandleClientSetInfo: {run: clientSetInfo},

		command.HandleKeys:      {idle: true, slow: keys, tx: keysInTx},
		command.HandleScan:      {idle: true, slow: scan, tx: scanInTx},
		command.HandleRandomKey: {idle: true, slow: randomKey, tx: randomKeyInTx},
		command.HandleDBSize:    {idle: true, slow: dbSize, tx: dbSizeInTx},
		command.HandleFlushDB:   {idle: true, slow: flushDB, tx: flushDBInTx},
		command.HandleFlushAll:  {idle: true, slow: flushAll, tx: flushAllInTx},

		command.HandleMulti:   {run: multi},
		command.HandleExec:    {run: exec, unpinned: true},
		command.HandleDiscard: {run: discard, unpinned: true},
		command.HandleWatch:   {run: watch},
		command.HandleUnwatch: {run: unwatch, unpinned: true, tx: (*session).queue},
		command.HandleWait:    {run: wait, tx: (*session).queue},

		command.HandleSubscribe:      {idle: true, run: subscribe(channels), subscribes: 1 + channels, unpinned: true},
		command.HandleUnsubscribe:    {idle: true, run: unsubscribe(channels), unpinned: true},
		command.HandlePSubscribe:     {idle: true, run: subscribe(patterns), subscribes: 1 + patterns, unpinned: true},
		command.HandlePUnsubscribe:   {idle: true, run: unsubscribe(patterns), unpinned: true},
		command.HandleSSubscribe:     {idle: true, run: subscribe(shards), subscribes: 1 + shards, unpinned: true},
		command.HandleSUnsubscribe:   {idle: true, run: unsubscribe(shards), unpinned: true},
		command.HandlePublish:        {run: publish(channels), publishes: true, tx: publishInTx},
		command.HandleSPublish:       {run: publish(shards), publishes: true, tx: publishInTx},
		command.HandlePubSubNumSub:   {reply: subscribersOf(channels)},
		command.HandlePubSubShardNum: {reply: subscribersOf(shards)},
		command.HandlePubSubNumPat:   {idle: true, run: pubSubNumPat},
		command.HandlePubSubChannels: {run: pubSubChannels},

		command.HandleClientTracking:     {idle: true, run: clientTracking, reply: tracked},
		command.HandleClientCaching:      {run: clientCaching, tx: (*session).queue},
		command.HandleClientTrackingInfo: {idle: true, run: clientTrackingInfo, reply: trackingInformed, unpinned: true},
		command.HandleClientGetRedir:     {run: clientGetRedir},
		command.HandleClientReply:        {idle: true, run: clientReply, alone: true},
		command.HandleClientUnblock:      {idle: true, run: clientUnblock},

		command.HandleEval:         {script: true, run: eval, tx: inTx(eval)},
		command.HandleEvalSHA:      {script: true, run: evalSHA, tx: inTx(evalSHA), wait: unknownScript},
		command.HandleFCall:        {script: true, run: fcall, tx: inTx(fcall)},
		command.HandleScriptLoad:   {idle: true, slow: scriptLoad},
		command.HandleScriptExists: {idle: true, slow: scriptExists},
		command.HandleScriptFlush:  {idle: true, slow: scriptFlush},
		command.HandleScriptKill:   {idle: true, slow: scriptKill},
		command.HandleScriptShow:   {idle: true, slow: scriptShow},

		command.HandleCopy:    {run: copyKey},
		command.HandleLolwut:  {run: lolwut},
		command.HandleRestore: {run: restoreKey},
		command.HandleMove:    {run: moveKey, reply: moved},

		command.HandleCommand:      {run: commandAll},
		command.HandleCommandInfo:  {run: commandSome},
		command.HandleCommandDocs:  {run: commandSome, reply: onlyDocs},
		command.HandleCommandCount: {run: commandCount},
		command.HandleCommandList:  {run: forward, reply: hideNames},
		command.HandleFunctionList: {run: functionList},

		command.HandleInfo:         {idle: true, run: info},
		command.HandleConfigGet:    {run: configGet},
		command.HandleConfigSet:    {run: configSet},
		command.HandleRole:         {run: role},
		command.HandleLastSave:     {run: lastSave},
		command.HandleMemoryStats:  {idle: true, run: memoryStats},
		command.HandleMemoryDoctor: {idle: true, run: memoryDoctor},
		command.HandleACLLog:       {idle: true, run: aclLogGet},
		command.HandleACLWhoAmI:    {run: aclWhoAmI},
		command.HandleACLCat:       {run: aclCat},
		command.HandleACLDryRun:    {run: aclDryRun},
		command.HandleACLGenPass:   {run: aclGenPass},
		command.HandleACLGetUser:   {run: aclGetUser},

		command.HandleClientInfo:    {run: clientInfo},
		command.HandleClientList:    {idle: true, run: clientList},
		command.HandleClientKill:    {idle: true, run: clientKill},
		command.HandleClientNoEvict: {run: clientNoEvict},
		command.HandleClientNoTouch: {run: clientNoTouch},
		command.HandleClientCapa:    {run: clientCapa},
		command.HandleClientPause:   {idle: true, run: clientPause},
		command.HandleClientUnpause: {idle: true, run: clientUnpause},

		command.HandleMonitor:          {idle: true, run: monitor, alone: true},
		command.HandleSlowLogGet:       {idle: true, run: slowLogGet},
		command.HandleSlowLogLen:       {idle: true, run: slowLogLen},
		command.HandleSlowLogReset:     {idle: true, run: slowLogReset},
		command.HandleCommandLogGet:    {idle: true, run: commandLogGet},
		command.HandleCommandLogLen:    {idle: true, run: commandLogLen},
		command.HandleCommandLogReset:  {idle: true, run: commandLogReset},
		command.HandleLatencyHistogram: {idle: true, run: latencyHistogram},
		command.HandleLatencyLatest:    {idle: true, run: latencyLatest},
		command.HandleLatencyHistory:   {idle: true, run: latencyHistory},
		command.HandleLatencyReset:     {idle: true, run: latencyReset},
		command.HandleLatencyGraph:     {idle: true, run: latencyGraph},
		command.HandleLatencyDoctor:    {idle: true, run: latencyDoctor},

		command.HandleClusterSlots:      {run: facade(clusterSlots)},
		command.HandleClusterShards:     {run: facade(clusterShards)},
		command.HandleClusterNodes:      {run: facade(clusterNodes)},
		command.HandleClusterInfo:       {run: facade(clusterInfo)},
		command.HandleClusterKeySlot:    {run: facade(clusterKeySlot)},
		command.HandleClusterMyID:       {run: facade(clusterMyID)},
		command.HandleClusterMyShardID:  {run: facade(clusterMyShardID)},
		command.HandleClusterLinks:      {run: facade(clusterLinks)},
		command.HandleClusterReplicas:   {run: facade(clusterReplicas)},
		command.HandleClusterKeysInSlot: {run: facade(clusterKeysInSlot)},
	}
}

func forward(s *session, cmd *command.Command, r *namespace.Request) { s.send(cmd, r) }
