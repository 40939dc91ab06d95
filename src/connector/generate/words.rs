//! The words that synthetic text is made of: short lists by class, and what stems and affixes make of them.
//!
//! Owns the lists only; how often a word is drawn and what follows it is the business of the vocabulary and the text.

pub(super) const DETERMINERS: &str =
    "the a the the its this their the each some that his her no any every another our many several";
pub(super) const PREPOSITIONS: &str = "of in to for on with at from by about into over after under between through during \
    before against among within toward across behind beyond near along since until despite without upon";
pub(super) const CONJUNCTIONS: &str =
    "and but that as or while which who because when if where although so than whether though unless";
pub(super) const PRONOUNS: &str = "it he they she we you I there nobody everyone someone nothing something this both";
pub(super) const AUXILIARIES: &str =
    "is was has will are were had have would could can may should must did does might cannot";
pub(super) const ADVERBS: &str = "not also more now only still most even just then here already often never again soon too once \
    later always perhaps almost ever instead yet nearly together twice rather quite away";

pub(super) const NOUNS: &str = "year people government time day country company state week city world minister report market \
    police group month party work million court home part law number office plan case school service team war side house \
    business area power price system member place president money season game leader bank industry union family water \
    health issue election fire road land energy budget deal study vote street force economy project hospital food river \
    border policy region program village match investor officer worker student teacher patient driver farmer player \
    coach judge lawyer witness reporter resident visitor customer owner expert scientist researcher official candidate \
    campaign parliament council committee agency ministry embassy treaty tariff export import supply demand factory plant \
    pipeline refinery harbour port airport railway bridge tunnel tower stadium museum theatre library university college \
    laboratory satellite rocket telescope engine battery vehicle tractor bicycle aircraft vessel container cargo fuel gas \
    oil coal steel copper timber cotton wheat rice coffee sugar milk fish cattle crop harvest drought flood storm wind \
    snow rain summer winter spring autumn morning evening night weekend holiday festival concert film novel song painting \
    audience critic editor publisher newspaper website network signal software computer phone screen camera data code \
    password account payment loan debt mortgage interest inflation currency share profit loss revenue tax fee salary \
    pension insurance contract strike protest rally march crowd arrest charge trial verdict appeal sentence prison guard \
    weapon missile soldier army navy troop commander ceasefire attack victim survivor shelter camp refugee passport visa \
    vaccine virus disease doctor nurse clinic surgery treatment medicine drug trial diet risk climate carbon emission \
    forest species bird wolf whale coral reef island coast beach mountain valley desert glacier lake soil garden park \
    apartment rent landlord builder architect engineer electrician goal defender striker tournament league medal record \
    race sprint final semifinal penalty referee fan ticket flight hotel tourist guide map route journey station platform";

pub(super) const VERBS: &str = "report call ask turn show follow open close start end move reach offer expect remain allow add \
    return play work help need want plan fail claim warn urge accept reject approve delay launch order serve visit \
    question support oppose attack defend protect damage repair restore expand limit cover cross sign test treat check \
    develop design deliver produce collect gather count measure record publish review confirm deny admit explain \
    discuss discover explore examine monitor track chase block clear clean burn heat cool power charge demand request \
    propose suggest recommend consider decide resolve settle address raise lower increase reduce improve double slow \
    halt resume continue finish complete enter leave travel march gather land board load unload export import trade \
    purchase order auction borrow invest earn save waste promise threaten pressure convince inform alert";

pub(super) const ADJECTIVES: &str = "new old last first other large small high low early late young long short local national public \
    private former current recent major minor strong weak rich poor full empty open hot cold dry wet warm cool bright dark \
    quiet loud quick slow steady sharp sudden gradual severe mild safe dangerous legal illegal formal central northern \
    southern eastern western rural urban coastal foreign domestic global regional federal royal military civil medical \
    digital electric chemical nuclear solar annual weekly daily final initial original popular rare common special \
    general similar different separate joint single double total partial heavy light deep shallow wide narrow distant \
    remote fresh modern ancient cheap expensive free busy ready likely possible certain clear complex simple serious \
    critical essential vital bitter famous proud calm angry anxious careful patient honest loyal brave fragile solid rough \
    smooth bold plain grand humble vast tiny golden silver green blue red white black grey";

/// Beginnings and endings from which the long tail of learned words is made: every beginning with every ending.
pub(super) const BEGINNINGS: &str = "trans contra inter manu micro photo electro hydro thermo agri bio geo para super infra macro multi neuro \
    ortho poly proto pseudo quasi retro socio techno ultra uni vice auto centri demo eco ethno homo hyper mega meta mono";
pub(super) const MIDDLES: &str = "port form struct vers grat lect duc mit scrib spect tract ven cess fect gress ject mand nom plic \
    pon press quisit sist solv stall sum tain tend vert vis voc";

/// Place and institution names, capitalised as they stand; many of them not ASCII.
pub(super) const NAMES: &str = "London Paris Berlin Zürich Madrid Rome Vienna München Warsaw Lisbon Dublin Köln \
    Oslo Helsinki Stockholm Málaga Copenhagen Brussels Amsterdam Bogotá Geneva Athens Istanbul Medellín Cairo \
    Nairobi Lagos Québec Accra Dakar Tunis Montréal Pretoria Beijing Shanghai Genève Tokyo Osaka Seoul Gdańsk Delhi \
    Mumbai Jakarta Łódź Manila Bangkok Hanoi Reykjavík Sydney Melbourne Auckland Malmö Toronto Montreal Chicago \
    Århus Boston Denver Houston Göteborg Seattle Mexico Havana Córdoba Lima Santiago Caracas León Quito Parliament \
    Congress Düsseldorf Senate Monday Tuesday Nürnberg Wednesday Thursday Friday Kraków Saturday Sunday January \
    Brasília March April June Tromsø July August October Curaçao November Europe Africa Mérida Asia America \
    Atlantic Besançon Pacific Brno София Orléans Одеса Plzeň Київ Žilina Казань Šiauliai Москва 東京 Πάτρα 北京 Αθήνα \
    上海 부산 大阪 서울 香港 台北";

/// Words with marks that English keeps from elsewhere.
pub(super) const MARKED: &str = "café naïve façade résumé fiancé cliché décor régime protégé entrée coöperate doppelgänger jalapeño \
    piñata smörgåsbord über crème soufflé étude élite";

/// Figures as news has them.
pub(super) const FIGURES: &str = "2 3 4 5 6 7 8 10 12 15 20 24 25 30 40 50 60 75 90 100 120 150 200 250 300 400 500 750 1,000 \
    1,200 2,500 5,000 10,000 40,000 1.5 2.4 3.7 0.8 6.2 $40 $120 €15 €300 £25 2019 2020 2021 2022 2023 7% 12% 35% 60%";
