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

var handlers = [command.HandlerCount]handler{
	command.HandleAuth:          {idle: true, run: auth, secrets: authSecrets},
	command.HandleHello:         {idle: true, run: hello, secrets: helloSecrets},
	command.HandleSelect:        {idle: true, run: selectDB},
	command.HandleReset:         {idle: true, run: reset},
	command.HandlePing:          {run: ping},
	command.HandleEcho:          {run: echo},
	command.HandleQuit:          {run: quit},
	command.HandleNoCluster:     {run: facade(clusterOK)},
	command.HandleClientID:      {run: clientID},
	command.HandleClientSetName: {run: clientSetName},
	command.HandleClientGetName: {run: clientGetName},
	command.HandleClientSetInfo: {run: clientSetInfo},

	command.HandleKeys:      {idle: true, slow: keys},
	command.HandleScan:      {idle: true, slow: scan},
	command.HandleRandomKey: {idle: true, slow: randomKey},
	command.HandleDBSize:    {idle: true, slow: dbSize},
	command.HandleFlushDB:   {idle: true, slow: flushDB},
	command.HandleFlushAll:  {idle: true, slow: flushAll},

	command.HandleCopy:    {run: copyKey},
	command.HandleLolwut:  {run: lolwut},
	command.HandleRestore: {run: restoreKey},
	command.HandleMove:    {run: moveKey, reply: moved},

	command.HandleCommand:      {run: commandAll},
	command.HandleCommandInfo:  {run: commandSome},
	command.HandleCommandDocs:  {run: commandSome},
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
	command.HandleACLWhoAmI:    {run: aclWhoAmI},
	command.HandleACLCat:       {run: aclCat},
	command.HandleACLGenPass:   {run: aclGenPass},

	command.HandleClientInfo:    {run: clientInfo},
	command.HandleClientList:    {idle: true, run: clientList},
	command.HandleClientKill:    {idle: true, run: clientKill},
	command.HandleClientNoEvict: {run: clientNoEvict},
	command.HandleClientNoTouch: {run: clientNoTouch},
	command.HandleClientCapa:    {run: clientCapa},
	command.HandleClientPause:   {idle: true, run: clientPause},
	command.HandleClientUnpause: {idle: true, run: clientUnpause},

	command.HandleMonitor:          {idle: true, run: monitor},
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

func forward(s *session, cmd *command.Command, r *namespace.Request) { s.forward(cmd, r) }
