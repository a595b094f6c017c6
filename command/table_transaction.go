package command

// transactionRows are the commands of transactions, which need a connection of their own.
var transactionRows = rows{
	"discard": {Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Cats: CatTransaction,
		Run: Pinned, Later: true},
	"exec": {Arity: 1, Flags: NoScript | Loading | Stale | SkipSlowlog, Cats: CatTransaction,
		Run: Pinned, Later: true},
	"multi": {Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Cats: CatTransaction,
		Run: Pinned, Later: true},
	"unwatch": {Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Cats: CatTransaction,
		Run: Pinned, Later: true},
	"watch": {Arity: -2, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Cats: CatTransaction,
		Keys: span(1, -1, 1, RO), Run: Pinned, Later: true},
}
