package clavicle.gallery

import androidx.compose.foundation.background
import androidx.compose.foundation.clickable
import androidx.compose.foundation.layout.Box
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.height
import androidx.compose.foundation.layout.size
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.unit.dp
import clavicle.ui.kit.Look
import clavicle.ui.kit.Say
import clavicle.ui.page.*

/** A page on which everything is wrong: a check that finds nothing on it is none. */
object Bad {
    fun unseen(page: Page, catalogue: Catalogue): List<String> {
        val found = mutableListOf<String>()
        val drawn = Shown(page, catalogue, View.LIGHT) {
            Column(Modifier.fillMaxSize().background(Color.White)) {
                Say("too pale", color = Color(0xFF9A9A9A))
                Say("too high for its place", Modifier.height(9.dp), Look.type.title)
                Say("do.nothing_here")
                Box(Modifier.size(30.dp).clickable {})
            }
        }
        drawn.use {
            val image = it.render()
            Checks.fold(it, found)
            Checks.shown(it, pixels(image), found)
            Checks.presses(it, found)
        }
        val due = listOf(
            "nothing scrolls", "no heading", "“too pale” has a contrast", "“too high for its place” is cut off", "nobody says do.nothing_here",
            "something can be pressed that has no name", "a finger needs 48", "does not press ${page.main.id}",
        )
        return due.filter { fault -> found.none { it.contains(fault) } }.map { "the checks do not see: $it" }
    }
}
