"""The explorers in the built page, where no kernel stands behind them: by mouse and by keyboard."""

import re

import pytest
from test_book import PHONE, RUN_AXE, WIDE, axe_script

EXPLORERS = {
    "02_line": ["The line at 1,000 ft²", "Learning rate"],
    "03_activations": ["Activation"],
    "04_batch_normalization": ["Weights of the first layer"],
    "06_tuning": ["pass", "step"],
    "playground": ["Hidden layers"],
}
FRAMES = """() => new Promise(done => { let count = 0; const begin = performance.now();
  const tick = now => { count += 1;
    now - begin < 2000 ? requestAnimationFrame(tick) : done(count / 2); };
  requestAnimationFrame(tick); })"""


@pytest.fixture
def visit(browser, site):
    """Open a page of the book; the tab, and its n-th explorer. Errors fail the test at its end."""
    contexts, troubles = [], []

    def open_page(name, number=0, size=WIDE, anchor="", home=site):
        context = browser.new_context(viewport=size, reduced_motion="reduce")
        contexts.append(context)
        tab = context.new_page()
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("console", lambda said: said.type == "error" and troubles.append(said.text))
        tab.goto(f"{home}book/{name}.html{anchor}", wait_until="load")
        tab.wait_for_function("n => document.querySelectorAll('.xp-words').length > n", arg=number)
        found = tab.locator(".xp").nth(number)
        found.scroll_into_view_if_needed()
        return tab, found

    yield open_page
    for context in contexts:
        context.close()
    assert not troubles, "\n".join(troubles)


def said(explorer):
    return explorer.locator(".xp-words").inner_text()


def steps(explorer):
    """Steps that network A has made."""
    found = re.search(r"after ([\d,]+) steps", said(explorer))
    return int(found.group(1).replace(",", "")) if found else 0


def press(explorer, name):
    explorer.get_by_role("button", name=name, exact=True).click()


@pytest.mark.parametrize("name", EXPLORERS)
def test_each_is_there_and_says_what_it_shows(visit, name):
    for number, label in enumerate(EXPLORERS[name]):
        _, explorer = visit(name, number)
        assert explorer.get_by_label(label).count() > 0
        assert len(said(explorer)) > 40
        for picture in explorer.locator("svg[role=img]").all():
            assert len(picture.get_attribute("aria-label")) > 15


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_control_has_a_name_and_takes_the_keyboard(visit, name):
    _, explorer = visit(name)
    for control in explorer.locator("input, select, button, summary").all():
        named = control.evaluate("e => (e.labels?.[0] ?? e).innerText.trim()")
        assert named, control.evaluate("e => e.outerHTML")
        control.focus()
        assert control.evaluate("e => e === document.activeElement")


def test_opened_from_a_file_they_run_as_well(visit, book):
    _, explorer = visit("playground", home=f"file://{book.as_posix()}/")
    press(explorer, "Step")
    assert steps(explorer) == 1


class TestLine:
    @staticmethod
    def place(explorer):
        """Weight, bias and loss of the line."""
        found = re.search(
            r"weight (?:is )?([−\d.,]+).*bias ([−\d.,]+)\. Its loss is ([\d.,]+)", said(explorer)
        )
        return [float(n.rstrip(".,").replace(",", "").replace("−", "-")) for n in found.groups()]

    def test_ten_steps_are_those_of_the_chapter(self, visit):
        _, explorer = visit("02_line")
        assert self.place(explorer)[:2] == [0, 0]
        for _ in range(10):
            press(explorer, "Step")
        assert "After 10 steps" in said(explorer)
        weight, bias, _ = self.place(explorer)
        assert [round(weight), round(bias)] == [197, 468]  # as the cell of the chapter prints them
        press(explorer, "Reset")
        assert self.place(explorer)[:2] == [0, 0]

    def test_a_handle_can_be_dragged_and_takes_the_other_chart_along(self, visit):
        tab, explorer = visit("02_line")
        handle = explorer.locator("path.xp-point").nth(1)
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        before = self.place(explorer)
        here = explorer.locator("path.xp-point").nth(2).get_attribute("d")
        tab.mouse.move(x, y)
        tab.mouse.down()
        tab.mouse.move(x, y - 60)
        tab.mouse.up()
        after = self.place(explorer)
        assert after[0] > before[0]
        assert after[2] < before[2]
        assert explorer.locator("path.xp-point").nth(2).get_attribute("d") != here
        assert float(explorer.get_by_label("The line at 3,400").input_value()) > 0

    def test_an_arrow_key_moves_the_line(self, visit):
        _, explorer = visit("02_line")
        explorer.get_by_label("The line at 3,400").press("ArrowRight")
        assert self.place(explorer)[0] > 0

    def test_the_point_in_the_valley_can_be_dragged(self, visit):
        tab, explorer = visit("02_line")
        box = explorer.locator("path.xp-point").nth(2).bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        tab.mouse.move(x, y)
        tab.mouse.down()
        tab.mouse.move(x, y - 50)
        tab.mouse.up()
        weight, bias, _ = self.place(explorer)
        assert abs(weight) < 10 < bias

    def test_a_rate_above_the_border_leads_up(self, visit):
        _, explorer = visit("02_line", 1)
        assert "steps lead down" in said(explorer)
        explorer.get_by_label("Learning rate").press("End")
        assert "not below 1:" in said(explorer)
        before = self.place(explorer)[2]
        press(explorer, "Step")
        assert self.place(explorer)[2] > before

    def test_another_scale_has_another_border(self, visit):
        _, explorer = visit("02_line", 1)
        explorer.get_by_label("Scale of").select_option("raw")
        assert "0.9 is not below 0.17" in said(explorer)


class TestActivations:
    def test_an_arrow_key_moves_the_point(self, visit):
        _, explorer = visit("03_activations")
        assert "tanh turns 1 into 0.762" in said(explorer)
        explorer.get_by_label("Input of the unit").press("ArrowRight")
        assert "tanh turns 1.05 into 0.782" in said(explorer)

    def test_the_point_can_be_dragged(self, visit):
        tab, explorer = visit("03_activations")
        box = explorer.locator("svg.xp-drag").first.bounding_box()
        tab.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 50)
        tab.mouse.down()
        tab.mouse.move(box["x"] + box["width"] * 0.98, box["y"] + 50)
        tab.mouse.up()
        assert "turns 6 into 1" in said(explorer)
        assert explorer.get_by_label("Input of the unit").input_value() == "6"

    def test_another_share_and_another_curve_move_the_band(self, visit):
        _, explorer = visit("03_activations")
        explorer.get_by_label("Activation", exact=True).select_option("sigmoid")
        assert "between −4 and 4" in said(explorer)
        explorer.get_by_label("Responds").press("End")
        assert "lies outside" in said(explorer)


class TestBatchNorm:
    @staticmethod
    def prices(explorer):
        """In this company (or in eval mode); what eval mode would say beside it, if told."""
        return [float(n) for n in re.findall(r"(?:of|be) ([\d.]+)(?: thousand|\.)", said(explorer))]

    def test_company_decides_in_train_mode(self, visit):
        _, explorer = visit("04_batch_normalization")
        prices = set()
        for _ in range(5):
            prices.add(self.prices(explorer)[0])
            press(explorer, "Step")
        assert len(prices) > 1

    def test_scale_and_bias_do_nothing_in_train_mode_and_harm_in_eval_mode(self, visit):
        _, explorer = visit("04_batch_normalization")
        among, alone = self.prices(explorer)
        explorer.get_by_label("Weights of the first layer").press("End")
        explorer.get_by_label("Added to its biases").press("Home")
        again, stale = self.prices(explorer)
        assert again == pytest.approx(among, rel=0.01)
        assert stale != pytest.approx(alone, rel=0.01)

    def test_no_batch_moves_the_price_in_eval_mode(self, visit):
        _, explorer = visit("04_batch_normalization")
        explorer.get_by_label("Mode").select_option("eval")
        before = self.prices(explorer)
        for _ in range(3):
            press(explorer, "Step")
        assert self.prices(explorer) == before


class TestReplay:
    @pytest.mark.parametrize("number", [0, 1])
    def test_goes_from_the_first_moment_to_the_last(self, visit, number):
        tab, explorer = visit("06_tuning", number)
        last, time = said(explorer), explorer.locator("input[type=range]").first
        press(explorer, "Play")
        tab.wait_for_timeout(300)
        assert said(explorer) != last
        press(explorer, "Pause")
        press(explorer, "Reset")
        assert time.input_value() == "0"
        time.press("End")
        assert said(explorer) == last


class TestPlayground:
    def test_trains_pauses_and_begins_anew(self, visit):
        tab, explorer = visit("playground")
        press(explorer, "Play")
        tab.wait_for_function("() => /after/.test(document.querySelector('.xp-words').innerText)")
        press(explorer, "Pause")
        reached = steps(explorer)
        tab.wait_for_timeout(300)
        assert steps(explorer) == reached > 0
        press(explorer, "Reset")
        assert "has not learnt yet" in said(explorer)

    def test_what_is_out_of_sight_rests(self, visit):
        tab, explorer = visit("playground")
        press(explorer, "Play")
        tab.wait_for_timeout(300)
        tab.evaluate("document.querySelector('.xp').style.marginTop = '9000px'; scrollTo(0, 0)")
        tab.wait_for_timeout(300)
        rested = steps(explorer)
        tab.wait_for_timeout(400)
        assert steps(explorer) == rested > 0
        explorer.scroll_into_view_if_needed()
        tab.wait_for_timeout(400)
        assert steps(explorer) > rested

    def test_the_address_follows_and_leads_back(self, visit):
        tab, explorer = visit("playground")
        explorer.get_by_label("Hidden layers").press("Home")
        explorer.get_by_label("Batch normalisation").check()
        anchor = tab.evaluate("location.hash")
        assert anchor == "#a.depth=0&a.norm=true"
        _, other = visit("playground", anchor=anchor)
        assert other.get_by_label("Hidden layers").input_value() == "0"
        assert other.get_by_label("Batch normalisation").is_checked()

    def test_an_anchor_of_the_page_is_left_alone(self, visit):
        tab, explorer = visit("playground", anchor="#things-to-try")
        assert tab.evaluate("location.hash") == "#things-to-try"
        assert explorer.get_by_label("Hidden layers").input_value() == "3"

    def test_a_link_in_the_open_page_changes_the_setting(self, visit):
        tab, explorer = visit("playground")
        tab.evaluate("location.hash = '#lesson=houses&a.depth=7'")
        tab.wait_for_function("() => document.querySelector('.xp-net input').value === '7'")
        assert explorer.get_by_label("What to learn").input_value() == "houses"

    @pytest.mark.parametrize("experiment", ["bias", "raw", "depth", "rate", "company"])
    def test_each_experiment_trains_two_networks(self, visit, experiment):
        _, explorer = visit("playground")
        explorer.get_by_label("Start from").select_option(experiment)
        press(explorer, "Step")
        press(explorer, "Step")
        assert said(explorer).count("after 2 steps") == 2

    def test_a_rate_can_be_turned_without_a_new_start(self, visit):
        _, explorer = visit("playground")
        press(explorer, "Step")
        explorer.get_by_label("Learning rate").press("ArrowLeft")
        press(explorer, "Step")
        assert steps(explorer) == 2
        explorer.get_by_label("Units a layer").press("ArrowLeft")
        assert steps(explorer) == 0

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_two_networks_on_a_phone_are_accessible(self, visit, theme):
        tab, explorer = visit("playground", size=PHONE, anchor="#lesson=houses&pair=true")
        tab.emulate_media(color_scheme=theme)
        tab.wait_for_function(f"document.documentElement.dataset.theme === '{theme}'")
        for net in explorer.locator("details").all():
            net.locator("summary").click()
        press(explorer, "Step")
        assert tab.evaluate("document.scrollingElement.scrollWidth") <= PHONE["width"]
        tab.evaluate(axe_script())
        assert tab.evaluate(RUN_AXE, {"resultTypes": ["violations"], "preload": False}) == []

    @pytest.mark.parametrize("lesson", ["wave", "houses"])
    def test_frames_a_second_are_reported(self, visit, lesson, record_property):
        """Twenty layers of 32 units in batches of 64. A busy machine is slower: no assertion."""
        anchor = f"#lesson={lesson}&a.depth=20&a.width=32&a.norm=true"
        tab, explorer = visit("playground", anchor=anchor)
        press(explorer, "Play")
        tab.wait_for_timeout(500)
        record_property("frames", (f"20 × 32 with BN on {lesson}", round(tab.evaluate(FRAMES))))
        assert steps(explorer) > 0
