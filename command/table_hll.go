package command

// hyperLogLogRows are the commands on approximate sets, which are strings underneath. Servers ask nobody's permission for
// the one key of PFMERGE without sources, and write it.
var hyperLogLogRows = rows{
	"pfadd": {Arity: -2, Flags: Write | DenyOOM | Fast, Cats: CatHyperLogLog, Keys: key(RW | Insert),
		Run: Shared, InsideString: true, InsidePlain: true},
	"pfcount": {Arity: -2, Flags: ReadOnly, Cats: CatHyperLogLog, Keys: span(1, -1, 1, RW|Access),
		Run: Shared, InsideString: true, InsidePlain: true},
	"pfdebug": {Arity: 3, Flags: Write | DenyOOM | Admin, Cats: CatHyperLogLog, Keys: keyAt(2, RW|Access),
		Why: "it is a debugging aid of the server"},
	"pfmerge": {Arity: -2, Flags: Write | DenyOOM, Cats: CatHyperLogLog,
		Keys: key(RW | Access | Insert).and(span(2, -1, 1, RO|Access)),
		Run:  Shared, Unwalled: true, InsideString: true, InsidePlain: true},
	"pfselftest": {Arity: 1, Flags: Admin, Cats: CatHyperLogLog},
}
