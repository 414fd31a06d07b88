"""`word_to_number`: every form that it reads, everything that it must not, and no error ever."""

import csv
import os
import random
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st
from jinja2 import Environment
from num2words import num2words

from orchestration.warehouse.settings import CHECKOUT

MACRO = CHECKOUT / "macros" / "cleaning" / "word_to_number.sql"
SHARED_CASES = CHECKOUT.parent / "shared" / "data" / "number_words.csv"
SEED = int(os.environ["SEED"])

NUMBERS = {
    # digits
    "5": "5", "007": "7", "+5": "5", "-5": "-5", "−5": "-5", "- 5": "-5", ".5": "0.5", "5.": "5",
    " 5\t": "5", "\u00a05\u00a0": "5", "200.50": "200.50", "1,234,567.89": "1234567.89", "$5": "5",
    "$ 5": "5", "-$5": "-5", "$-5": "-5", "€5": "5", "5 €": "5", "£1,200": "1200", "(15)": "-15",
    "($1,200.50)": "-1200.5", "$(15)": "-15", "1e3": "1000", "1.5E+03": "1500", "1e-3": "0.001",
    "123456789012345678901234567890": "123456789012345678901234567890",
    # whole numbers in words
    "zero": "0", "Two Hundred": "200", "  TWO \n\thundred\u00a0": "200", "twenty-one": "21",
    "two hundred five": "205", "two hundred and five": "205", "five-hundred-and-five": "505",
    "fourty five": "45", "hundred": "100", "a hundred and one": "101", "an hundred": "100",
    "thousand and one": "1001", "a million": "1000000", "one thousand a hundred": "1100",
    "five thousand, six hundred": "5600", "thousand , six": "1006", "one million,two": "1000002",
    "one thousand, and one": "1001", "one thousand and five hundred": "1500",
    "one million five": "1000005", "ten million, five thousand": "10005000",
    "one million and two hundred thousand": "1200000", "One million Two Thousand": "1002000",
    "hundred thousand": "100000", "hundred twenty three million four": "123000004",
    "thirty-four hundred and fifty": "3450", "ten hundred": "1000", "twenty hundred": "2000",
    "one million twelve hundred": "1001200", "nine quintillion": "9000000000000000000",
    "minus two hundred": "-200", "Negative  one": "-1", "-five": "-5", "plus five": "5",
    # decimals and halves
    "three point nine seven": "3.97", "point five": "0.5", "zero point zero five": "0.05",
    "minus point five": "-0.5",
    "minus zero point five": "-0.5", "five point six-seven": "5.67",
    "one million point five": "1000000.5", "five point one million": "5100000",
    "twenty point zero": "20", "one thousand point three": "1000.3",
    "one point five million": "1500000", "half": "0.5", "one half": "0.5",
    "half a million": "500000", "two and a half": "2.5", "two and one half": "2.5",
    "two and a half million": "2500000", "one hundred and two and a half": "102.5",
    # digits and words
    "2 hundred": "200", "2 hundred and 5": "205", "2 hundred 50": "250", "12 hundred": "1200",
    "5 thousand 200": "5200", "3 thousand 4 hundred": "3400",
    "12 million, 345 thousand": "12345000", "1.5 million": "1500000", "-$1.5 million": "-1500000",
    "$-2 thousand": "-2000", "1500 thousand": "1500000", "two million 5000": "2005000",
    "minus 5": "-5",
    # money
    "fifteen dollars and fifty cents": "15.50", "fifteen dollars, fifty cents": "15.50",
    "15 dollars and 05 cents": "15.05", "minus two pounds and five pence": "-2.05",
    "zero euro, five cents": "0.05", "five thousand dollars": "5000", "a dollar": "1",
    "one million dollars and one cent": "1000000.01", "half a dollar": "0.5", "fifty cents": "0.5",
    "200 USD": "200", "usd 1,200.50": "1200.5", "EUR 5": "5", "5 euros": "5",
}  # fmt: skip
NOT_NUMBERS = [
    # nothing, or half of something
    "", "   ", "minus", "-", "+", ".", "$", "()", "and", "a", "point", "dollars", "five and",
    "and five", "hundred and", "thousand,", "thousand, and", "one point", "five,", "half a", "one-",
    "5,", ",5", "1e", "e5", "a five", "five dollars and", "one million and",
    # read in two ways
    "one two three", "twenty twenty", "nineteen eighty four", "twenty fifteen", "one to two", "5-6",
    "1,5", "1,00", "12,34", "0,123", "1,2345", "1234,567", "1 000", "5 5", "two hundred, five",
    "a million and a half", "fifteen and fifty cents", "five dollars six", "5k", "1.5 hundred 12",
    # more than one number, scales that do not descend
    "one hundred two hundred", "two hundred hundred", "thousand hundred", "thousand million",
    "one thousand thousand", "one thousand two thousand", "five thousand six million",
    "two thousand fifteen hundred", "thirty-four hundred thousand", "two hundred zero",
    "zero hundred", "two hundred and and five", "half half", "1.2.3", "--5", "-+5", "minus minus 5",
    "one point two point three", "one point twelve", "two and a half point five", "$$5", "(-5)",
    "one point thousand", "two thousand one million six",
    "one million two million", "one million two thousand three thousand", "2 hundred 555",
    "five cents dollars", "five thousand cents",
    # other words
    "someone", "tone", "twothousand and one", "fivedollars", "five5", "5five", "Two Hundred abc",
    "fivety", "oneteen", "eightteen", "two thousands", "one hundredth", "twenty-first", "12th",
    "15%", "five percent", "1/2", "½", "N/A", "null", "NaN", "Infinity", "-inf", "0x1F", "1_000",
    "٣", "５", "five 😀", "five!", "two hundred\\", '"five"', "five\x01", "x'); drop table y; --",
    "0x1f thousand", "1_2 thousand", "1e3 thousand", "tene",
    "onee thousand", "onee million", "five point onee", "five point one e two",
    # the codes of the macro, typed by somebody
    "U5", "SU5Z", "two U5", "S U5", "two hundred)*1e3+(five", "5e3+5", "2 K",
    # beyond the limits
    "1e1000", "1e999999", "1e-99999", "9" * 1001, "9" * 200_000, "million " * 50,
    "five" + " " * 997,
]  # fmt: skip


def compiled(expression, macro="word_to_number"):
    # The macro needs nothing of dbt.
    jinja = Environment(autoescape=False)  # noqa: S701 (SQL, not HTML)
    template = jinja.from_string(MACRO.read_text(encoding="utf-8"))
    return getattr(template.module, macro)(expression)


@pytest.fixture
def word_to_number(analyst_connection):
    """Values of many texts, with one query."""
    query = (
        f"select {compiled('given')}"
        " from unnest(%s::text[]) with ordinality as texts (given, place) order by place"
    )

    def values(texts):
        return [value for (value,) in analyst_connection.execute(query, [list(texts)])]

    return values


@pytest.fixture
def both_readers(analyst_connection):
    """What the dictionaries make of texts; and the general reader, where they make something."""
    given = '((given)::text collate "C")'
    plain, general = (compiled(given, f"number_in_{kind}") for kind in ("plain_words", "words"))
    query = (
        f"select plain, case when plain is not null then {general} end"
        f" from (select given, place, {plain} as plain"
        " from unnest(%s::text[]) with ordinality as texts (given, place) offset 0) as found"
        " order by place"
    )
    return lambda texts: analyst_connection.execute(query, [list(texts)]).fetchall()


def wrong(word_to_number, expected):
    """What comes out otherwise than expected: text, value, expected value."""
    values = word_to_number(expected)
    pairs = zip(expected.items(), values, strict=True)
    return [(text, value, number) for (text, number), value in pairs if value != number]


def test_reads_every_form(word_to_number):
    assert wrong(word_to_number, {text: Decimal(value) for text, value in NUMBERS.items()}) == []


def test_refuses_everything_else(word_to_number):
    assert wrong(word_to_number, dict.fromkeys([*NOT_NUMBERS, None])) == []


@pytest.mark.skipif(not SHARED_CASES.is_file(), reason="shared/ is not beside the checkout")
def test_reads_the_shared_cases(word_to_number):
    with SHARED_CASES.open(encoding="utf-8", newline="") as file:
        cases = {
            row["input"]: Decimal(row["expected"]) if row["expected"] else None
            for row in csv.DictReader(file)
        }
    assert wrong(word_to_number, cases) == []


def spellings(words):
    """The ways to write it: with and without hyphens, commas, "and"; in capitals; with spaces."""
    for hyphen, comma, and_ in product("- ", [",", ""], [" and ", " "]):
        yield words.replace("-", hyphen).replace(",", comma).replace(" and ", and_)
    yield words.upper()
    yield f"\n {words.title()} ".replace(" ", " \t")


def test_round_trip_over_num2words(word_to_number):
    chance = random.Random(SEED)
    whole = {
        *range(1200),
        *(10**power + step for power in range(3, 19) for step in (-1, 0, 1)),
        *(chance.randrange(10 ** chance.randint(3, 15)) for _ in range(600)),
    }
    # num2words goes through float: with more digits its own words are wrong. It also drops the
    # sign of -0.5: hence the words for it here.
    decimals = {
        Decimal(chance.randrange(10 ** chance.randint(1, 13))).scaleb(-chance.randint(1, 4))
        for _ in range(600)
    }
    expected = {
        spelling: sign * Decimal(value)
        for value in whole | decimals
        for word, sign in (("", 1), ("minus ", -1), ("negative ", -1))
        for spelling in spellings(word + num2words(value))
    }
    assert wrong(word_to_number, expected) == []


UNITS = dict(zip("one two three four five six seven eight nine".split(), range(1, 10), strict=True))
TEENS = {"ten": 10, "eleven": 11, "fifteen": 15}
TENS = {"twenty": 20, "thirty": 30, "ninety": 90}
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}


def below_100(words):
    match words:
        case [word]:
            return (UNITS | TEENS | TENS).get(word)
        case [tens, unit] if tens in TENS and unit in UNITS:
            return TENS[tens] + UNITS[unit]


def part(words, first, many_hundreds):
    """A part before a scale word, or the last one; None when it is no number."""
    if "hundred" not in words:
        return below_100(words)
    place = words.index("hundred")
    hundreds, rest = words[:place], words[place + 1 :]
    count = 1 if first and not hundreds else below_100(hundreds)
    if count is None or (count > 9 and not many_hundreds):
        return None
    remainder = below_100(rest[rest[0] == "and" :]) if rest else 0
    return None if remainder is None else count * 100 + remainder


def parsed(words):
    """The plain way to read number words, to compare with."""
    total, above, current = 0, None, []
    for word in words:
        if word not in SCALES:
            current.append(word)
            continue
        if above and SCALES[word] >= above:
            return None
        value = 1 if not above and not current else part(inner(current, above), not above, False)
        if value is None:
            return None
        total, above, current = total + value * SCALES[word], SCALES[word], []
    if above and not current:
        return total
    value = part(inner(current, above), not above, above != 1000)
    return None if value is None else total + value


def inner(words, above):
    return words[1:] if above and words[:1] == ["and"] else words


def test_agrees_with_a_plain_parser_on_any_sequence(word_to_number):
    chance = random.Random(SEED)
    vocabulary = [*UNITS, *TEENS, *TENS, *SCALES, *["hundred", "and"] * 4]
    sequences = [chance.choices(vocabulary, k=chance.randint(1, 7)) for _ in range(20_000)]
    assert wrong(word_to_number, {" ".join(words): parsed(words) for words in sequences}) == []


def test_the_dictionaries_read_every_usual_number(both_readers):
    chance = random.Random(SEED)
    numbers = {
        *range(1, 10_000),
        *(chance.randrange(10 ** chance.randint(5, 9)) for _ in range(3000)),
    }
    expected = {
        case(spelling): number
        for number in numbers
        for spelling in spellings(num2words(number))
        for case in (str.lower, str.title)
        if "\n" not in spelling
    } | {
        "zero": 0,
        "NINE HUNDRED AND FIVE": 905,
        "minus six thousand, five": -6005,
        "Negative One Million": -1_000_000,
        "minus zero point zero five": Decimal("-0.05"),
        "two thousand point one-two five": Decimal("2000.125"),
    }
    found = zip(expected.items(), both_readers(expected), strict=True)
    assert [(text, pair) for (text, number), pair in found if pair != (number, number)] == []


def test_the_dictionaries_read_nothing_that_the_general_reader_reads_otherwise(both_readers):
    chance = random.Random(SEED)
    pieces = ["one", " two", " Five", " ten", " twenty", "-one", " zero", " hundred", "hundred"]
    pieces += [" thousand", " million", " and", ",", " point", " point ", "minus ", " ", "Z", "5"]
    vocabulary = [*UNITS, *TEENS, *TENS, "zero", "minus", *["hundred", "thousand", "million"] * 3]
    vocabulary += [*["and", "point", "thousand,", "million,"] * 2, "half", "onee", "twenty-one"]
    texts = ["".join(parts) for length in range(1, 5) for parts in product(pieces, repeat=length)]
    texts += ["".join(chance.choices(pieces, k=chance.randint(5, 12))) for _ in range(20_000)]
    texts += [" ".join(chance.choices(vocabulary, k=chance.randint(1, 9))) for _ in range(20_000)]
    texts += [text.title() for text in texts[-2000:]]
    found = zip(texts, both_readers(texts), strict=True)
    assert [(text, pair) for text, pair in found if pair[0] != pair[1]] == []


PIECES = st.sampled_from(
    "zero one ten twenty hundred thousand million quintillion and point half a minus dollars cents"
    " 0 5 05 12 200 1.5 .5 1,200 1e3 e 0x1 _ U5 X K - + ( ) $ € , . % # \\ ' \" { } 😀".split(" ")
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=8).map(" ".join),
    st.lists(PIECES, max_size=8).map("".join),
    st.text(alphabet="0123456789+-.,eE$€£() \t\n\u00a0", max_size=20),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
)


@seed(SEED)
@given(st.lists(TEXTS, min_size=20, max_size=40))
@example(["9" * 1000, "9" * 990 + "e999", "." + "9" * 980 + "e-999", "9" * 900 + " quintillion"])
@settings(
    max_examples=100,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_never_raises_and_gives_finite_numbers(word_to_number, texts):
    values = word_to_number(texts)
    assert all(value is None or value.is_finite() for value in values)


def test_is_immutable_and_takes_any_expression(analyst_connection):
    with analyst_connection.transaction(force_rollback=True):
        analyst_connection.execute("create temporary table given (price text)")
        # PostgreSQL takes immutable expressions only.
        analyst_connection.execute(f"create index on given (({compiled('price')}))")
        analyst_connection.execute("insert into given values ('two'), ('three'), ('junk'), (null)")
        large = analyst_connection.execute(f"select price from given where {compiled('price')} > 2")
        assert large.fetchall() == [("three",)]
    expressions = ["null", "'two hundred'", "'two ' || 'hundred'", "200", "' 200 '::varchar(9)"]
    columns = ", ".join(map(compiled, expressions))
    assert analyst_connection.execute(f"select {columns}").fetchone() == (None, 200, 200, 200, 200)
