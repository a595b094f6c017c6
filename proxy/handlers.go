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
	// script: it runs on the connection for scripts.
	script bool
	// publishes: it may run on the hub.
	publishes bool
	// run answers at once, or sends to the upstream.
	run func(s *session, cmd *command.Command, r *namespace.Request)
	// slow answers from a goroutine of its own; idle goes with it.
	slow slowFunc
	// reply changes what the upstream answered. It may return what it was
	// given, or bytes that are valid until the next reply.
	reply func(s *session, cmd *command.Command, reply []byte) []byte
}

var handlers = [command.HandlerCount]handler{
	command.HandleAuth:          {idle: true, run: auth, alone: true},
	command.HandleHello:         {idle: true, run: hello, alone: true},
	command.HandleSelect:        {idle: true, run: selectDB, tx: selectInTx},
	command.HandleReset:         {idle: true, run: reset},
	command.HandlePing:          {run: ping},
	command.HandleEcho:          {run: echo},
	command.HandleQuit:          {run: quit},
	command.HandleNoCluster:     {run: noCluster},
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

	command.HandleSubscribe:      {idle: true, run: subscribe(channels), unpinned: true},
	command.HandleUnsubscribe:    {idle: true, run: unsubscribe(channels), unpinned: true},
	command.HandlePSubscribe:     {idle: true, run: subscribe(patterns), unpinned: true},
	command.HandlePUnsubscribe:   {idle: true, run: unsubscribe(patterns), unpinned: true},
	command.HandleSSubscribe:     {idle: true, run: subscribe(shards), unpinned: true},
	command.HandleSUnsubscribe:   {idle: true, run: unsubscribe(shards), unpinned: true},
	command.HandlePublish:        {run: publish(channels), publishes: true, tx: publishInTx},
	command.HandleSPublish:       {run: publish(shards), publishes: true, tx: publishInTx},
	command.HandlePubSubNumSub:   {reply: subscribersOf(channels)},
	command.HandlePubSubShardNum: {reply: subscribersOf(shards)},
	command.HandlePubSubNumPat:   {idle: true, run: pubSubNumPat},
	command.HandlePubSubChannels: {run: pubSubChannels},

	command.HandleClientTracking:     {idle: true, run: clientTracking, reply: tracked},
	command.HandleClientCaching:      {},
	command.HandleClientTrackingInfo: {idle: true, run: clientTrackingInfo, reply: trackingInformed, unpinned: true},
	command.HandleClientGetRedir:     {run: clientGetRedir},
	command.HandleClientReply:        {idle: true, run: clientReply, alone: true},
	command.HandleClientUnblock:      {idle: true, run: clientUnblock},

	command.HandleEval:         {script: true, run: eval, tx: inTx(eval)},
	command.HandleEvalSHA:      {script: true, run: evalSHA, tx: inTx(evalSHA)},
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
	command.HandleCommandDocs:  {run: commandSome},
	command.HandleCommandCount: {run: commandCount},
	command.HandleCommandList:  {run: forward, reply: hideNames},
}

func forward(s *session, cmd *command.Command, r *namespace.Request) { s.send(cmd, r) }
