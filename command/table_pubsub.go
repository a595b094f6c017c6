package command

// pubSubRows are the commands on channels. Channels are no keys, but carry the prefix all the same; only the shard
// channels have key specifications, which say where they are routed. PUBSUB asks nobody for permission.
var pubSubRows = rows{
	"psubscribe": {Arity: -2, Flags: PubSub | NoScript | Loading | Stale,
		Channels: true, Shape: from(1), Run: Pinned, Later: true, ReplyKeys: MessageNames},
	"publish": {Arity: 3, Flags: PubSub | Loading | Stale | Fast,
		Channels: true, Shape: at(1), Run: Shared, Later: true},
	"pubsub": {Arity: -2},
	"pubsub|channels": {Arity: -2, Flags: PubSub | Loading | Stale,
		Channels: true, Shape: at(2), Run: Shared, Unwalled: true, Later: true, ReplyKeys: AllKeys},
	"pubsub|help":   {Arity: 2, Flags: Loading | Stale, Run: Shared},
	"pubsub|numpat": {Arity: 2, Flags: PubSub | Loading | Stale, Run: Local, Unwalled: true, Later: true},
	"pubsub|numsub": {Arity: -2, Flags: PubSub | Loading | Stale,
		Channels: true, Shape: from(2), Run: Shared, Unwalled: true, Later: true, ReplyKeys: PairNames},
	"pubsub|shardchannels": {Arity: -2, Flags: PubSub | Loading | Stale,
		Channels: true, Shape: at(2), Run: Shared, Unwalled: true, Later: true, ReplyKeys: AllKeys},
	"pubsub|shardnumsub": {Arity: -2, Flags: PubSub | Loading | Stale,
		Channels: true, Shape: from(2), Run: Shared, Unwalled: true, Later: true, ReplyKeys: PairNames},
	"punsubscribe": {Arity: -1, Flags: PubSub | NoScript | Loading | Stale,
		Channels: true, Shape: from(1), Run: Pinned, Later: true, ReplyKeys: MessageNames},
	"spublish": {Arity: 3, Flags: PubSub | Loading | Stale | Fast, Keys: key(NotKey),
		Channels: true, Shape: at(1), Run: Shared, Later: true},
	"ssubscribe": {Arity: -2, Flags: PubSub | NoScript | Loading | Stale, Keys: span(1, -1, 1, NotKey),
		Channels: true, Shape: from(1), Run: Pinned, Later: true, ReplyKeys: MessageNames},
	"subscribe": {Arity: -2, Flags: PubSub | NoScript | Loading | Stale,
		Channels: true, Shape: from(1), Run: Pinned, Later: true, ReplyKeys: MessageNames},
	"sunsubscribe": {Arity: -1, Flags: PubSub | NoScript | Loading | Stale, Keys: span(1, -1, 1, NotKey),
		Channels: true, Shape: from(1), Run: Pinned, Later: true, ReplyKeys: MessageNames},
	"unsubscribe": {Arity: -1, Flags: PubSub | NoScript | Loading | Stale,
		Channels: true, Shape: from(1), Run: Pinned, Later: true, ReplyKeys: MessageNames},
}
