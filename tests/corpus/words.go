package corpus

import "strings"

// vocabulary is what prose is made of, the most frequent words first.
var vocabulary = strings.Fields(`
the of and to a in is it you that he was for on are with as his they at be this from have or by one had not but what all
were when we there can an your which their said if do will each about how up out them then she many some so these would
other into has more her two like him see time could no make than first been its who now people my made over did down only
way find use may water long little very after words called just where most know get through back much before go good new
write our used me man too any day same right look think also around another came come work three word must because does
part even place well such here take why things help put years different away again off went old number great tell men say
small every found still between name should home big give air line set own under read last never us left end along while
might next sound below saw something thought both few those always looked show large often together asked house world
going want school important until form food keep children feet land side without boy once animals life enough took four
head above kind began almost live page got earth need far hand high year mother light parts country father let night
following picture being study second eyes soon times story boys since white days ever paper hard near sentence better
best across during today others however sure means knew try told young miles sun ways thing whole hear example heard
several change answer room sea against top turned learn point city play toward five using himself usually money seen car
morning given trees ship sentences remember wanted black stood whether plants living front state moment delivery customer
account invoice warehouse garden kitchen window cotton metal leather wooden summer winter autumn market village station
railway harbour bridge castle museum theatre orchestra painter engineer doctor teacher farmer student manager architect
morning evening breakfast dinner supper bread butter cheese coffee pepper onion potato carrot apple lemon cherry orange
silver golden copper violet crimson purple yellow scarlet narrow shallow ancient modern gentle quick silent noisy bright
careful cheerful curious eager fierce generous honest humble jolly lively modest nervous patient proud quiet rapid
sincere tender useful vivid wealthy yearly zealous measure pressure pleasure treasure weather feather leather together
believe receive achieve deliver discover recover consider remember december november october september august july june
april march february january monday tuesday wednesday thursday friday saturday sunday north south east west northern
southern eastern western forest mountain valley river island desert ocean meadow canyon glacier volcano peninsula
database network server client packet latency storage memory process thread socket request response session token
algorithm compiler keyboard monitor printer charger battery cable adapter bracket screw hammer wrench ladder bucket
shovel blanket pillow mattress cushion curtain carpet lantern candle mirror cabinet drawer shelf bench stool basket
`)

var firstNames = strings.Fields(`
Ada Alan Amara Anders Anna Aoife Arjun Astrid Beatriz Bjorn Carla Chen Chidi Clara Daniel Dara David Dmitri Elena Elif
Emeka Emma Erik Esther Eva Fatima Felix Femi Finn Gabriel Grace Greta Hana Hassan Helena Hugo Ines Ingrid Isaac Ivan
Jasmin Joao Johanna Jonas Julia Kaito Karim Katya Kofi Lars Laura Leila Liam Lin Lucia Magnus Maria Marta Mateo Mei
Mikael Mina Miriam Nadia Nia Nikolai Noah Nora Oleg Olivia Omar Oscar Paulo Petra Priya Rafael Ravi Rosa Ruth Samir
Sara Sigrid Simon Sofia Stefan Sunil Tariq Tessa Theo Thomas Tomas Uma Viktor Vera Wanjiru Xavier Yara Yusuf Zoe
`)

var lastNames = strings.Fields(`
Abbott Achebe Adeyemi Almeida Andersen Bauer Becker Berg Bianchi Blanco Brandt Brown Campbell Carvalho Chen Christensen
Costa Diaz Dubois Edwards Eriksson Evans Farah Fernandez Fischer Fontaine Garcia Gomez Gupta Haas Hansen Hernandez
Hoffmann Holm Hughes Ibrahim Ivanov Jansen Johansson Jones Kaplan Kaya Keller Khan Kim Klein Kovacs Kumar Larsen Laurent
Lee Lindqvist Lopez Maier Mancini Martin Mbeki Mehta Meyer Miller Moreau Morgan Mueller Murphy Nakamura Nguyen Nielsen
Novak Okafor Olsen Ortiz Patel Pereira Petrov Popescu Ramos Reid Ricci Rossi Ruiz Santos Sato Schmidt Sharma Silva Singh
Smith Sokolov Suzuki Takahashi Tanaka Taylor Torres Vargas Virtanen Walker Wang Weber Wilson Wright Yamamoto Young Zhang
`)

var cities = strings.Fields(`
Aarhus Accra Amsterdam Antwerp Athens Auckland Barcelona Belgrade Bergen Berlin Bilbao Bogota Bologna Bratislava Bristol
Brussels Bucharest Budapest Cairo Cardiff Chennai Cologne Copenhagen Cork Dakar Delhi Dresden Dublin Edinburgh Florence
Geneva Genoa Ghent Glasgow Gothenburg Graz Hamburg Hanoi Helsinki Istanbul Jakarta Krakow Lagos Leeds Lima Lisbon
Ljubljana London Lyon Madrid Malmo Manila Marseille Melbourne Milan Montreal Mumbai Munich Nairobi Nantes Naples Osaka
Oslo Palermo Paris Perth Porto Prague Quito Riga Rome Rotterdam Salzburg Santiago Seville Singapore Sofia Stockholm
Sydney Tallinn Tampere Tokyo Toronto Trieste Turin Utrecht Valencia Vienna Vilnius Warsaw Zagreb Zurich
`)
