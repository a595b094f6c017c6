package command

// transactionRows are the commands of transactions, which need a connection of their own.
var transactionRows = rows{
	"discard": {Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Cats: CatTransaction,
		Run: Pinned, Handler: HandleDiscard, AtOnce: true, Paced: true},
	"exec": {Arity: 1, Flags: NoScript | Loading | Stale | SkipSlowlog, Cats: CatTransaction,
		Run: Pinned, Handler: HandleExec, AtOnce: true, Paced: true},
	"multi": {Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Cats: CatTransaction,
		Run: Pinned, Handler: HandleMulti, AtOnce: true, Paced: true},
	"unwatch": {Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Cats: CatTransaction,
		Run: Pinned, Handler: HandleUnwatch, Paced: true},
	"watch": {Arity: -2, Flags: NoScript | Loading | Stale | Fast | AllowBusy, Cats: CatTransaction,
		Keys: span(1, -1, 1, RO), Run: Pinned, Handler: HandleWatch, AtOnce: true, Paced: true},
}
