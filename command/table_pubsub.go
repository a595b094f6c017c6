package command

// pubSubRows are the commands on channels. Channels are no keys, but carry the prefix all the same; only the shard
// channels have key specifications, which say where they are routed. PUBSUB asks nobody for permission.
var pubSubRows = rows{
	"psubscribe": {Arity: -2, Flags: PubSub | NoScript | Loading | Stale,
		Channels: true, Shape: from(1), Run: Pinned, Handler: HandlePSubscribe, ChannelCheck: ChannelGlobs, Subscriber: true},
	"publish": {Arity: 3, Flags: PubSub | Loading | Stale | Fast,
		Channels: true, Shape: at(1), Run: Shared, Handler: HandlePublish, ChannelCheck: ChannelNames},
	"pubsub": {Arity: -2},
	"pubsub|channels": {Arity: -2, Flags: PubSub | Loading | Stale,
		Channels: true, Shape: at(2), Run: Shared, Handler: HandlePubSubChannels, ReplyKeys: AllKeys, Unwalled: true},
	"pubsub|help":   {Arity: 2, Flags: Loading | Stale, Run: Shared},
	"pubsub|numpat": {Arity: 2, Flags: PubSub | Loading | Stale, Run: Local, Handler: HandlePubSubNumPat, Unwalled: true},
	"pubsub|numsub": {Arity: -2, Flags: PubSub | Loading | Stale,
		Channels: true, Shape: from(2), Run: Shared, Handler: HandlePubSubNumSub, ReplyKeys: PairNames, Unwalled: true},
	"pubsub|shardchannels": {Arity: -2, Flags: PubSub | Loading | Stale,
		Channels: true, Shape: at(2), Run: Shared, Handler: HandlePubSubChannels, ReplyKeys: AllKeys, Unwalled: true},
	"pubsub|shardnumsub": {Arity: -2, Flags: PubSub | Loading | Stale,
		Channels: true, Shape: from(2), Run: Shared, Handler: HandlePubSubShardNum, ReplyKeys: PairNames, Unwalled: true},
	"punsubscribe": {Arity: -1, Flags: PubSub | NoScript | Loading | Stale,
		Channels: true, Shape: from(1), Run: Pinned, Handler: HandlePUnsubscribe, Subscriber: true, Paced: true},
	"spublish": {Arity: 3, Flags: PubSub | Loading | Stale | Fast, Keys: key(NotKey),
		Channels: true, Shape: at(1), Run: Shared, Handler: HandleSPublish, ChannelCheck: ChannelNames},
	"ssubscribe": {Arity: -2, Flags: PubSub | NoScript | Loading | Stale, Keys: span(1, -1, 1, NotKey),
		Channels: true, Shape: from(1), Run: Pinned, Handler: HandleSSubscribe, ChannelCheck: ChannelNames, Subscriber: true},
	"subscribe": {Arity: -2, Flags: PubSub | NoScript | Loading | Stale,
		Channels: true, Shape: from(1), Run: Pinned, Handler: HandleSubscribe, ChannelCheck: ChannelNames, Subscriber: true},
	"sunsubscribe": {Arity: -1, Flags: PubSub | NoScript | Loading | Stale, Keys: span(1, -1, 1, NotKey),
		Channels: true, Shape: from(1), Run: Pinned, Handler: HandleSUnsubscribe, Subscriber: true, Paced: true},
	"unsubscribe": {Arity: -1, Flags: PubSub | NoScript | Loading | Stale,
		Channels: true, Shape: from(1), Run: Pinned, Handler: HandleUnsubscribe, Subscriber: true, Paced: true},
}
