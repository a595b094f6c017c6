package command

// bitmapRows are the commands that see a string as an array of bits, so all of them look inside it.
var bitmapRows = rows{
	"bitcount": {Arity: -2, Flags: ReadOnly, Cats: CatBitmap, Keys: key(RO | Access),
		Run: Shared, InsideString: true},
	"bitfield": {Arity: -2, Flags: Write | DenyOOM, Cats: CatBitmap,
		Keys: key(RW | Access | Update | VariableFlags), Run: Shared, Needs: bitFieldNeeds, InsideString: true, Unscripted: true, Reach: bitFieldReach},
	"bitfield_ro": {Arity: -2, Flags: ReadOnly | Fast, Cats: CatBitmap, Keys: key(RO | Access),
		Run: Shared, InsideString: true, Unscripted: true},
	"bitop": {Arity: -4, Flags: Write | DenyOOM, Cats: CatBitmap,
		Keys: keyAt(2, OW|Update).and(span(3, -1, 1, RO|Access)), Run: Shared, InsideString: true},
	"bitpos": {Arity: -3, Flags: ReadOnly, Cats: CatBitmap, Keys: key(RO | Access),
		Run: Shared, InsideString: true},
	"getbit": {Arity: 3, Flags: ReadOnly | Fast, Cats: CatBitmap, Keys: key(RO | Access),
		Run: Shared, InsideString: true},
	"setbit": {Arity: 4, Flags: Write | DenyOOM, Cats: CatBitmap, Keys: key(RW | Access | Update),
		Run: Shared, InsideString: true, Reach: setBitReach},
}
