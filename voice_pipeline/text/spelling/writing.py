"""How the languages without a lexicon are written: letters, numbers, signs. Data only.

    writing("es-MX").decimal      # "."

Letters are those of Unicode CLDR's exemplar sets (main, and the auxiliary ones of common loanwords), in a fixed order:
a trained model depends on it, so never change it. Spoken words stand here only where no library has them. Romanian and
Catalan are not here because the rules of unicode-rbnf 2.4 spell some of their numbers wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

LATIN = "abcdefghijklmnopqrstuvwxyz"  # in each Latin alphabet: names and loanwords use all of them


@dataclass(frozen=True)
class Noun:
    """What a sign counts, by CLDR's plural category of the number: "one", "few", "many", "other"."""

    gender: str  # as in the names of CLDR's rules: "masculine", "feminine", "neuter", "common", "reale"; "" for none
    one: str
    other: str  # also of numbers with a fraction
    few: str | None = None
    many: str | None = None

    def form(self, category: str) -> str:
        """The word after a number of ``category``."""
        return {"one": self.one, "few": self.few, "many": self.many}.get(category) or self.other


@dataclass(frozen=True)
class Writing:
    """One language. ``version`` is raised whenever a text may read differently."""

    language: str  # ISO 639
    letters: str  # lower case, in the order of their ids
    numbers: str  # the rules of unicode-rbnf
    decimal_word: str  # said where a number has its decimal separator
    minus: str
    signs: Mapping[str, str] = field(default_factory=dict)  # sign to words
    counted: Mapping[str, Noun] = field(default_factory=dict)  # sign beside a number to what it counts
    ordinals: Mapping[str, str] = field(
        default_factory=dict
    )  # what stands behind the digits, to the rules that spell it
    same: Mapping[str, str] = field(default_factory=dict)  # letters of others that stand for one of these letters
    decimal: str = ","
    group: str = "."  # between thousands
    marks: str = ""  # punctuation of this language alone
    before_number: bool = False  # whether "%" is said before its number
    pairs: bool = True  # whether two digits after the decimal separator are said as one number
    dotted_ordinals: bool = False  # whether "3." may stand for "third" in the middle of a sentence
    version: str = "1"


def _euro(gender: str, plural: str = "euro", many: str | None = None) -> Noun:
    return Noun(gender, "euro", plural, many=many)


_M, _F, _N = "masculine", "feminine", "neuter"

_SPANISH = Writing(
    language="es",
    letters=LATIN + "áéíñóúü",
    numbers="es",
    decimal_word="coma",
    minus="menos",
    signs={"&": "y", "+": "más", "=": "igual a", "°": "grados", "@": "arroba"},
    counted={
        "%": Noun("", "por ciento", "por ciento"),
        "€": _euro(_M, "euros", "de euros"),
        "$": Noun(_M, "dólar", "dólares", many="de dólares"),
        "£": Noun(_F, "libra", "libras", many="de libras"),
    },
    ordinals={
        "º": "spellout-ordinal-masculine",
        "ª": "spellout-ordinal-feminine",
        "er": "spellout-ordinal-masculine-adjective",
    },
    marks="¿¡",
)
_FRENCH = Writing(
    language="fr",
    letters=LATIN + "àâæçèéêëîïôœùûüÿ",
    numbers="fr",
    decimal_word="virgule",
    minus="moins",
    signs={"&": "et", "+": "plus", "=": "égale", "°": "degrés", "@": "arobase"},
    counted={
        "%": Noun(_M, "pour cent", "pour cent"),
        "€": _euro(_M, "euros", "d'euros"),
        "$": Noun(_M, "dollar", "dollars", many="de dollars"),
        "£": Noun(_F, "livre", "livres", many="de livres"),
    },
    ordinals={
        "er": "spellout-ordinal-masculine",
        "re": "spellout-ordinal-feminine",
        "ère": "spellout-ordinal-feminine",
        **dict.fromkeys(("e", "è", "ème", "eme"), "spellout-ordinal-masculine"),
    },
    group=" ",
)
_ITALIAN = Writing(
    language="it",
    letters=LATIN + "àèéìíîòóùú",
    numbers="it",
    decimal_word="virgola",
    minus="meno",
    signs={"&": "e", "+": "più", "=": "uguale a", "°": "gradi", "@": "chiocciola"},
    counted={
        "%": Noun("", "per cento", "per cento"),
        "€": _euro(_M, "euro", "di euro"),
        "$": Noun(_M, "dollaro", "dollari", many="di dollari"),
        "£": Noun(_F, "sterlina", "sterline", many="di sterline"),
    },
    ordinals={"º": "spellout-ordinal-masculine", "ª": "spellout-ordinal-feminine"},
)
_PORTUGUESE = Writing(
    language="pt",
    letters=LATIN + "àáâãçéêíóôõúü",
    numbers="pt",
    decimal_word="vírgula",
    minus="menos",
    signs={"&": "e", "+": "mais", "=": "igual a", "°": "graus", "@": "arroba"},
    counted={
        "%": Noun(_M, "por cento", "por cento"),
        "€": _euro(_M, "euros", "de euros"),
        "$": Noun(_M, "dólar", "dólares", many="de dólares"),
        "£": Noun(_F, "libra", "libras", many="de libras"),
    },
    ordinals={"º": "spellout-ordinal-masculine", "ª": "spellout-ordinal-feminine"},
)
_GERMAN = Writing(
    language="de",
    letters=LATIN + "äöüß",
    numbers="de",
    decimal_word="Komma",
    minus="minus",
    signs={"&": "und", "+": "plus", "=": "gleich", "°": "Grad", "@": "at"},
    counted={
        "%": Noun(_N, "Prozent", "Prozent"),
        "€": _euro(_M),
        "$": Noun(_M, "Dollar", "Dollar"),
        "£": Noun(_N, "Pfund", "Pfund"),
    },
    pairs=False,
    dotted_ordinals=True,
)
_DUTCH = Writing(
    language="nl",
    letters=LATIN + "áäèéêëíïóöúü",
    numbers="nl",
    decimal_word="komma",
    minus="min",
    signs={"&": "en", "+": "plus", "=": "is", "°": "graden", "@": "at"},
    counted={
        "%": Noun("", "procent", "procent"),
        "€": _euro(""),
        "$": Noun("", "dollar", "dollar"),
        "£": Noun("", "pond", "pond"),
    },
    ordinals=dict.fromkeys(("e", "de", "ste"), "spellout-ordinal"),
)
_POLISH = Writing(
    language="pl",
    letters=LATIN + "ąćęłńóśźż",
    numbers="pl",
    decimal_word="przecinek",
    minus="minus",
    signs={"&": "i", "+": "plus", "=": "równa się", "°": "stopni", "@": "małpa"},
    counted={
        "%": Noun(_M, "procent", "procent"),
        "€": _euro(_N),
        "$": Noun(_M, "dolar", "dolara", few="dolary", many="dolarów"),
        "£": Noun(_M, "funt", "funta", few="funty", many="funtów"),
    },
    group=" ",
    dotted_ordinals=True,
)
_CZECH = Writing(
    language="cs",
    letters=LATIN + "áčďéěíňóřšťúůýž",
    numbers="cs",
    decimal_word="čárka",
    minus="minus",
    signs={"&": "a", "+": "plus", "=": "rovná se", "°": "stupňů", "@": "zavináč"},
    counted={
        "%": Noun(_N, "procento", "procent", few="procenta", many="procenta"),
        "€": Noun(_N, "euro", "eur", few="eura", many="eura"),
        "$": Noun(_M, "dolar", "dolarů", few="dolary", many="dolaru"),
        "£": Noun(_F, "libra", "liber", few="libry", many="libry"),
    },
    group=" ",
    dotted_ordinals=True,
)
_SWEDISH = Writing(
    language="sv",
    letters=LATIN + "åäöàé",
    numbers="sv",
    decimal_word="komma",
    minus="minus",
    signs={"&": "och", "+": "plus", "=": "är lika med", "°": "grader", "@": "snabel a"},
    counted={
        "%": Noun("reale", "procent", "procent"),
        "€": _euro("reale"),
        "$": Noun("reale", "dollar", "dollar"),
        "£": Noun(_N, "pund", "pund"),
    },
    same={"æ": "ä", "ø": "ö"},
    group=" ",
)
_DANISH = Writing(
    language="da",
    letters=LATIN + "æøåé",
    numbers="da",
    decimal_word="komma",
    minus="minus",
    signs={"&": "og", "+": "plus", "=": "er lig med", "°": "grader", "@": "snabel a"},
    counted={
        "%": Noun("common", "procent", "procent"),
        "€": _euro("common"),
        "$": Noun("common", "dollar", "dollar"),
        "£": Noun(_N, "pund", "pund"),
    },
    same={"ä": "æ", "ö": "ø"},
    dotted_ordinals=True,
)
_NORWEGIAN = Writing(
    language="nb",
    letters=LATIN + "æøåàéêòóô",
    numbers="no",
    decimal_word="komma",
    minus="minus",
    signs={"&": "og", "+": "pluss", "=": "er lik", "°": "grader", "@": "krøllalfa"},
    counted={
        "%": Noun(_M, "prosent", "prosent"),
        "€": _euro(_M),
        "$": Noun(_M, "dollar", "dollar"),
        "£": Noun(_N, "pund", "pund"),
    },
    same={"ä": "æ", "ö": "ø"},
    group=" ",
    dotted_ordinals=True,
)
_FINNISH = Writing(
    language="fi",
    letters=LATIN + "åäöšž",
    numbers="fi",
    decimal_word="pilkku",
    minus="miinus",
    signs={"&": "ja", "+": "plus", "=": "on yhtä kuin", "°": "astetta", "@": "ät"},
    counted={
        "%": Noun("", "prosentti", "prosenttia"),
        "€": Noun("", "euro", "euroa"),
        "$": Noun("", "dollari", "dollaria"),
        "£": Noun("", "punta", "puntaa"),
    },
    same={"æ": "ä", "ø": "ö"},
    group=" ",
    pairs=False,
    dotted_ordinals=True,
)
_HUNGARIAN = Writing(
    language="hu",
    letters=LATIN + "áéíóöőúüű",
    numbers="hu",
    decimal_word="vessző",
    minus="mínusz",
    signs={"&": "és", "+": "plusz", "=": "egyenlő", "°": "fok", "@": "kukac"},
    counted={
        "%": Noun("", "százalék", "százalék"),
        "€": Noun("", "euró", "euró"),
        "$": Noun("", "dollár", "dollár"),
        "£": Noun("", "font", "font"),
    },
    group=" ",
    dotted_ordinals=True,
)
_TURKISH = Writing(
    language="tr",
    letters=LATIN + "âçğıîöşûü",
    numbers="tr",
    decimal_word="virgül",
    minus="eksi",
    signs={"&": "ve", "+": "artı", "=": "eşittir", "°": "derece", "@": "et"},
    counted={
        "%": Noun("", "yüzde", "yüzde"),
        "€": _euro(""),
        "$": Noun("", "dolar", "dolar"),
        "£": Noun("", "sterlin", "sterlin"),
        "₺": Noun("", "lira", "lira"),
    },
    before_number=True,
    dotted_ordinals=True,
)
_RUSSIAN = Writing(
    language="ru",
    letters="абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    numbers="ru",
    decimal_word="запятая",
    minus="минус",
    signs={"&": "и", "+": "плюс", "=": "равно", "°": "градусов", "@": "собака", "№": "номер"},
    counted={
        "%": Noun(_M, "процент", "процента", few="процента", many="процентов"),
        "€": Noun(_M, "евро", "евро"),
        "$": Noun(_M, "доллар", "доллара", few="доллара", many="долларов"),
        "£": Noun(_M, "фунт", "фунта", few="фунта", many="фунтов"),
        "₽": Noun(_M, "рубль", "рубля", few="рубля", many="рублей"),
    },
    group=" ",
)
_UKRAINIAN = Writing(
    language="uk",
    letters="абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
    numbers="uk",
    decimal_word="кома",
    minus="мінус",
    signs={"&": "і", "+": "плюс", "=": "дорівнює", "°": "градусів", "№": "номер"},
    counted={
        "%": Noun(_M, "відсоток", "відсотка", few="відсотки", many="відсотків"),
        "€": Noun(_M, "євро", "євро"),
        "$": Noun(_M, "долар", "долара", few="долари", many="доларів"),
        "£": Noun(_M, "фунт", "фунта", few="фунти", many="фунтів"),
        "₴": Noun(_F, "гривня", "гривні", few="гривні", many="гривень"),
    },
    group=" ",
)
_GREEK = Writing(
    language="el",
    letters="αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ",
    numbers="el",
    decimal_word="κόμμα",
    minus="μείον",
    signs={"&": "και", "+": "συν", "=": "ίσον", "°": "βαθμοί"},
    counted={
        "%": Noun(_N, "τοις εκατό", "τοις εκατό"),
        "€": Noun(_N, "ευρώ", "ευρώ"),
        "$": Noun(_N, "δολάριο", "δολάρια"),
        "£": Noun(_F, "λίρα", "λίρες"),
    },
)

_BY_LANGUAGE = {
    one.language: one
    for one in (
        _SPANISH,
        _FRENCH,
        _ITALIAN,
        _PORTUGUESE,
        _GERMAN,
        _DUTCH,
        _POLISH,
        _CZECH,
        _SWEDISH,
        _DANISH,
        _NORWEGIAN,
        _FINNISH,
        _HUNGARIAN,
        _TURKISH,
        _RUSSIAN,
        _UKRAINIAN,
        _GREEK,
    )
}
# Letters of names and loanwords alone: a dataset need not hold them.
FOREIGN_LETTERS = {
    **{"cs": "qwx", "da": "éqwxz", "de": "qxy", "el": "ΐΰ", "es": "kw", "fi": "åbcfqšwxzž", "fr": "kwæüÿ"},
    **{"hu": "qwx", "it": "jkwxyíîóú", "nb": "àcêòóôqwxz", "nl": "áäèêíïóöqúüxy", "pl": "qvx"},
    **{"pt": "kwyü", "sv": "àéqwz", "tr": "âîqûwx"},
}
LANGUAGES = tuple(sorted(_BY_LANGUAGE))

# Spanish-speaking countries that write 3.5 for three and a half (CLDR: es_419 and what does not differ from it).
_SPANISH_POINT = ("BZ", "CU", "DO", "GT", "HN", "MX", "NI", "PA", "PE", "PR", "SV", "US")
_PORTUGUESE_OF_PORTUGAL = ("AO", "CV", "GW", "MO", "MZ", "PT", "ST", "TL")


def writing(code: str) -> Writing | None:
    """How the language of a BCP 47 code is written there; None for a language that is not here."""
    language, _, region = code.partition("-")
    found = _BY_LANGUAGE.get(language)
    if found is None:
        return None
    if language == "es" and region in _SPANISH_POINT:
        return replace(found, decimal=".", group=",", decimal_word="punto")
    if language == "fr" and region in ("BE", "CH"):
        return replace(found, numbers=f"fr_{region}")
    if language == "pt" and region in _PORTUGUESE_OF_PORTUGAL:
        return replace(found, numbers="pt_PT")
    if language in ("de", "it") and region in ("CH", "LI"):
        return replace(found, decimal=".", group="'", numbers="de_CH" if language == "de" else found.numbers)
    return found
