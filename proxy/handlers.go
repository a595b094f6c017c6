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
}

var handlers = [command.HandlerCount]handler{
	command.HandleAuth:          {idle: true, run: auth},
	command.HandleHello:         {idle: true, run: hello},
	command.HandleSelect:        {idle: true, run: selectDB},
	command.HandleReset:         {idle: true, run: reset},
	command.HandlePing:          {run: ping},
	command.HandleEcho:          {run: echo},
	command.HandleQuit:          {run: quit},
	command.HandleNoCluster:     {run: noCluster},
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
}

func forward(s *session, cmd *command.Command, r *namespace.Request) { s.forward(cmd, r) }
